"""What a deposit and a reconstruction will take, before anybody waits for either."""
