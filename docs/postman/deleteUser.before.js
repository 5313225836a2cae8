registerGuest();
