nameGuest(); // who is not registered
