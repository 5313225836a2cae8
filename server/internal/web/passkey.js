(() => {
  const form = document.querySelector("form[data-passkey]");
  if (!form || !window.PublicKeyCredential) return;
  const decode = text => Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), c => c.charCodeAt(0));
  const encode = buffer => btoa(String.fromCharCode(...new Uint8Array(buffer))).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
  const {passkey, create, conditional} = form.dataset, options = JSON.parse(passkey);
  for (const part of [options.user, ...(options.allowCredentials || []), ...(options.excludeCredentials || [])]) if (part) part.id = decode(part.id);
  options.challenge = decode(options.challenge);
  let current;
  const ask = async mediation => {
    current?.abort(); // the browser waits for one answer at a time
    const mine = current = new AbortController();
    try {
      const made = await navigator.credentials[create === undefined ? "get" : "create"]({publicKey: options, signal: mine.signal, ...(mediation && {mediation})});
      const response = {};
      for (const name of ["clientDataJSON", "attestationObject", "authenticatorData", "signature", "userHandle"])
        if (made.response[name]) response[name] = encode(made.response[name]);
      if (made.response.getTransports) response.transports = made.response.getTransports();
      form.elements.passkey.value = JSON.stringify({id: made.id, rawId: encode(made.rawId), type: made.type, response, clientExtensionResults: {}});
      HTMLFormElement.prototype.submit.call(form);
    } catch {
      if (mine.signal.aborted || mediation) return;
      form.querySelector("[role=alert]").hidden = false;
      offer();
    }
  };
  const offer = async () => {
    if (conditional !== undefined && await PublicKeyCredential.isConditionalMediationAvailable?.()) ask("conditional");
  };
  form.addEventListener("submit", event => { event.preventDefault(); ask(); });
  form.hidden = false;
  offer();
})();
