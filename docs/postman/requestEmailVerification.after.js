removeGuest(pm.variables.get('guestPassword'));
