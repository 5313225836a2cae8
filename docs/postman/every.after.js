// Every answer: a status that the contract promises, with a body that fits its schema.
const granted = String(pm.collectionVariables.get('grantedScope')).split(' ');
const mayCall = !contract.scopes.length || contract.scopes.some((all) => all.every((scope) => granted.includes(scope)));
const refusals = mayCall ? contract.accepts : { 403: 'insufficient_scope' };
const promised = contract.answers[pm.response.code];
const succeeded = mayCall && Boolean(promised);

pm.test(`${contract.operationId} answers as the contract says`, () => {
  const code = refusals[pm.response.code];
  if (code) {
    pm.expect(pm.response.json().code, refusal(pm.response)).to.equal(code);
    return;
  }
  if (!succeeded) pm.expect.fail(refusal(pm.response));
  if (!promised.mediaType) {
    pm.expect(pm.response.text()).to.equal('');
    return;
  }
  pm.expect(pm.response.headers.get('Content-Type').split(';')[0]).to.equal(promised.mediaType);
  if (promised.schema) pm.response.to.have.jsonSchema(promised.schema);
});
// A token that is refused is not used again.
if (pm.response.code === 401) pm.collectionVariables.set('refreshToken', '');
