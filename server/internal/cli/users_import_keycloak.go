package cli

import (
	"encoding/json"
	"fmt"
	"strings"

	"sesame/server/internal/account"
)

// keycloak is the realm that `kc.sh export` writes, or a file with its users.
var keycloak = mapping{
	columns:  []string{"username"},
	optional: []string{"email", "emailVerified", "firstName", "lastName", "enabled", "createdTimestamp", "password"},
	foreign:  true, hash: "password", document: true, flatten: flattenKeycloak,
	read: func(f fields) (account.ImportedUser, *account.Refusal) {
		u := account.ImportedUser{Email: f["email"], FullName: strings.TrimSpace(f["firstName"] + " " + f["lastName"])}
		setLogin(&u, f["username"])
		return f.fillActive(u, "password", "createdTimestamp", "enabled", "emailVerified")
	},
}

// flattenKeycloak adds the column password to an account. A service account is not one of a person.
func flattenKeycloak(object map[string]any) (map[string]any, bool) {
	if _, service := object["serviceAccountClientId"]; service {
		return nil, false
	}
	delete(object, "password")
	credentials, _ := object["credentials"].([]any)
	for _, value := range credentials {
		credential, _ := value.(map[string]any)
		if credential["type"] == "password" {
			object["password"] = keycloakHash(credential)
			break
		}
	}
	return object, true
}

// keycloakHash returns the hash of a credential in the PHC string format. What cannot be read becomes a text that is refused
// as an unknown hash.
func keycloakHash(credential map[string]any) string {
	var data struct {
		Algorithm  string
		Iterations int                 `json:"hashIterations"`
		More       map[string][]string `json:"additionalParameters"`
	}
	var secret struct{ Value, Salt string }
	for name, into := range map[string]any{"credentialData": &data, "secretData": &secret} {
		text, _ := credential[name].(string)
		if json.Unmarshal([]byte(text), into) != nil {
			return "unreadable"
		}
	}
	more := func(name string) string { return strings.Join(data.More[name], "") }
	params := fmt.Sprintf("i=%d", data.Iterations)
	if data.Algorithm == "argon2" {
		data.Algorithm = "argon2" + more("type")
		params = fmt.Sprintf("v=19$m=%s,t=%d,p=%s", more("memory"), data.Iterations, more("parallelism"))
		if more("version") != "1.3" {
			params = "v=16" + strings.TrimPrefix(params, "v=19")
		}
	}
	unpadded := func(text string) string { return strings.TrimRight(text, "=") }
	return "$" + data.Algorithm + "$" + params + "$" + unpadded(secret.Salt) + "$" + unpadded(secret.Value)
}
