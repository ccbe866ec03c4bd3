"""A hundred things that callers say, made up for the measures of speech."""

SENTENCES = tuple(
    line.strip()
    for line in """
I would like to talk to sales, please.
Can you tell me the opening hours on Saturday?
I want to cancel my appointment for next Tuesday.
Please transfer me to a human agent.
What is the balance of my account?
The internet connection stopped working this morning.
I have a question about my last invoice.
Could you repeat that more slowly, please?
My order has not arrived yet.
I need to change my delivery address.
How long will it take until someone calls me back?
I forgot my password and cannot log in.
Is there a fee if I pay by credit card?
The screen of my phone is broken.
I would like to speak to the manager.
Do you have any rooms free for the weekend?
My flight was delayed and I missed the connection.
I want to book a table for four people tonight.
Please send the contract to my email address.
The washing machine makes a strange noise.
I am calling about the job that you advertised.
Can I bring my dog to the hotel?
We need two more chairs for the meeting room.
Please stop sending me letters.
I lost my bank card yesterday evening.
How do I connect the printer to my computer?
The package was damaged when it arrived.
I would prefer an appointment in the afternoon.
Does the price include breakfast?
I was charged twice for the same ticket.
My daughter has a fever and a bad cough.
Where can I park my car near the station?
The heating does not work in the bedroom.
I want to return these shoes because they are too small.
Could you put me through to the support team?
It is about the leak in the kitchen.
The code on the back of the card is hard to read.
Please tell him that I called.
I will wait on the line.
No, that is not what I meant.
Yes, that is correct, thank you.
I am sorry, I did not understand the question.
What documents do I need for the application?
The train to London leaves from another platform.
I would like to order a large pizza with mushrooms.
Please remind me one day before the appointment.
My neighbour is playing loud music again.
The battery is empty after only an hour.
Can you explain the difference between the two plans?
I moved to a new house last month.
Please block my account immediately.
The light above the door keeps flashing.
Who is responsible for repairs in this building?
I would like to make a complaint.
The water in the shower is cold.
There was an accident on the main road.
I am looking for a present for my mother.
Could someone pick me up at the airport?
We are very happy with your service.
The website says the item is in stock.
I need a doctor who speaks English.
Is it possible to extend the warranty?
Please cancel my subscription at the end of the month.
The driver left the parcel with the wrong person.
I cannot hear you very well.
How much does it cost to send a letter to Canada?
My insurance should pay for the damage.
I would like to know more about the summer course.
The meeting has been moved to Friday morning.
Please do not share my number with anybody.
When will the new model be available?
I think there is a mistake in the calculation.
The alarm went off in the middle of the night.
Could you speak a little louder?
I want to upgrade my contract to the faster plan.
The elevator is stuck between two floors.
Please check whether the payment has been received.
I have been waiting for more than an hour.
Do I have to sign the form in person?
The coffee machine on the second floor is broken.
My son will start school in September.
I would like to leave a message for the director.
Are you open on public holidays?
The picture on the television is black.
I need the results of my blood test.
Please connect me with the billing department.
The key does not fit into the lock.
We want to celebrate our anniversary by the sea.
I would like to rent a small car for a week.
The garden needs more water in the summer.
Can you recommend a good restaurant nearby?
My computer shows a blue screen.
I have already paid this bill.
The teacher asked for a written excuse.
Please write down the reference number.
It happened at the corner of the market square.
The children are waiting in front of the museum.
I do not want to answer that question.
Thank you for your help, goodbye.
That is everything I wanted to know.
""".strip().splitlines()
)
