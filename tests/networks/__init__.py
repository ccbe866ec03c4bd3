"""Networks that the tests make for themselves: hosts, routers, narrow and slow links (`topology`)."""
