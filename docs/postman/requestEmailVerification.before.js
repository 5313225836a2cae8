// Registering mails the code. The request comes within a minute of that, so that it mails no other.
makeGuest({ email: `guest-${random()}@example.com` });
