actAsAdministrator();
