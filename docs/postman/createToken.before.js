requireCredentials();
