makeGuest();
