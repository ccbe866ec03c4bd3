"""Sixty things that callers say, to fit the weights of ends of turns on: none is in the measures."""

SENTENCES = tuple(
    line.strip()
    for line in """
Good afternoon, I received a bill that seems far too high.
My name is Peter and I am calling from the hardware store.
Could you please check if my parcel is at the depot?
The lift in our office has been broken since Monday.
I want to change the date of my reservation.
Please tell the doctor that the pain is getting worse.
Which bus goes to the central library?
We ordered three boxes but only two were delivered.
I think my neighbour has taken the wrong bag.
How can I reset the alarm system in my shop?
The colour of the carpet is different from the picture.
I would like to book two tickets for the evening show.
Can I pay the rest in cash when I collect it?
The signal disappears every time it rains.
Please move my meeting to ten o'clock on Thursday.
My grandmother needs a taxi to the hospital.
Do you still sell the blue jacket in a medium size?
There is a strong smell of gas in the hallway.
I have lost the key to my locker at the gym.
Who can help me with the tax form?
The dishwasher leaves white spots on the glasses.
I would like to rent a van for the whole week.
My passport expires at the end of next month.
Could you send me a copy of the agreement?
The music at the party was far too loud.
I need a new cartridge for my old printer.
What time does the pharmacy close today?
Our guests will arrive one day earlier than planned.
The window in the bathroom does not close any more.
I am not happy with the quality of the repair.
Please give me the number of the police station.
Is breakfast served before seven in the morning?
My brother wants to join the football club.
The application crashes whenever I open a picture.
I have been trying to reach you since yesterday.
Can you recommend a quiet place near the lake?
The invoice should be sent to my company instead.
We would like to sit outside if the weather is nice.
Her train was cancelled because of the storm.
I would like to return the camera that I bought last week.
There is no hot water in the whole building.
Please put me through to a colleague in accounting.
How do I get a refund for a ticket that I did not use?
My car will not start and I am already late.
Do you offer lessons for beginners on weekends?
The roof of the garage is leaking again.
I would like to speak with the person who wrote this letter.
They promised to call me back but never did.
Our contract ends in June and we do not want to renew it.
Is it possible to get a window seat on the early flight?
I left my umbrella in the waiting room.
The bread was fresh and the soup was excellent.
Please add a second driver to the insurance.
The street in front of our house is blocked.
I wonder whether the shop is open on Sunday.
My phone was stolen while I was on holiday.
Could you explain how the discount works?
The child fell from the swing and hurt her arm.
We need a plumber as soon as possible.
Please leave the package with the lady next door.
""".strip().splitlines()
)
