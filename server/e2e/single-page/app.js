const user = new oidc.UserManager({
  authority: 'http://127.0.0.1:8080', // Sesame
  client_id: 'CLIENT_ID',
  redirect_uri: `${location.origin}/callback`,
  post_logout_redirect_uri: `${location.origin}/`,
  scope: 'openid profile email',
  loadUserInfo: true,
});
const part = (id) => document.getElementById(id);

function show(person) {
  part('hello').textContent = person ? `Hello ${person.profile.preferred_username}` : '';
  part('sign-in').hidden = Boolean(person);
  part('refresh').hidden = part('sign-out').hidden = !person;
}

part('sign-in').onclick = () => user.signinRedirect();
part('refresh').onclick = async () => show(await user.signinSilent()); // uses the refresh token
part('sign-out').onclick = () => user.signoutRedirect();

(async () => {
  if (location.pathname === '/callback') {
    await user.signinCallback();
    history.replaceState(null, '', '/');
  }
  show(await user.getUser()); // from the session storage of the tab
})();
