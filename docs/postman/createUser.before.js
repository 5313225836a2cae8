nameGuest();
