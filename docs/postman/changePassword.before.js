pm.variables.set('newPassword', random());
makeGuest();
