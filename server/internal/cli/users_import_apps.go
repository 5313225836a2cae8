package cli

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"time"

	"sesame/server/internal/account"
	"sesame/server/internal/password"
)

// mapping returns the mapping of --from.
func (c *userImportCommand) mapping(now time.Time) (mapping, error) {
	m := mappings[c.From]
	switch {
	case c.From == "firebase":
		return c.firebaseMapping(m)
	case c.FirebaseHashConfig != "":
		return m, errors.New("--firebase-hash-config is for --from firebase")
	case c.From == "supabase":
		read := m.read
		m.read = func(f fields) (account.ImportedUser, *account.Refusal) {
			u, refusal := read(f)
			until := f["banned_until"]
			banned, readable := readTime(until)
			switch {
			case until == "infinity":
				u.Disabled = true
			case until != "" && !readable && refusal == nil: // the ban must not be lost
				refusal = invalid("banned_until", "must be a time such as 2026-11-23T14:11:00Z")
			}
			u.Disabled = u.Disabled || banned.After(now)
			return u, refusal
		}
	}
	return m, nil
}

// firebaseMapping completes each hash with the parameters of the project.
func (c *userImportCommand) firebaseMapping(m mapping) (mapping, error) {
	var project *password.Firebase
	if c.FirebaseHashConfig != "" {
		text, err := os.ReadFile(c.FirebaseHashConfig)
		if err != nil {
			return m, err
		}
		if project, err = readHashConfig(string(text)); err != nil {
			return m, fmt.Errorf("%s: %w", c.FirebaseHashConfig, err)
		}
	}
	read := m.read
	m.read = func(f fields) (account.ImportedUser, *account.Refusal) {
		if sum := f["passwordHash"]; sum != "" && project == nil {
			return account.ImportedUser{}, &account.Refusal{
				Code: "unknown_hash", Field: "passwordHash", Reason: "needs the project's password hash parameters, which the Firebase console shows; save them in a file, and add --firebase-hash-config FILE",
			}
		} else if sum != "" {
			f["passwordHash"] = project.Stored(f["salt"], sum)
		}
		return read(f)
	}
	return m, nil
}

// hashParameter is one line of what Firebase's console shows: "  base64_signer_key: jxsp…==,".
var hashParameter = regexp.MustCompile(`(?m)^\W*(algorithm|base64_signer_key|base64_salt_separator|rounds|mem_cost)"?\s*:\s*"?([^\s",]*)`)

// readHashConfig reads the password hash parameters of a Firebase project. Its errors do not repeat the signer key.
func readHashConfig(text string) (*password.Firebase, error) {
	values := map[string]string{}
	for _, found := range hashParameter.FindAllStringSubmatch(text, -1) {
		values[found[1]] = found[2]
	}
	if algorithm := values["algorithm"]; algorithm != "" && algorithm != "SCRYPT" {
		return nil, errors.New("the algorithm must be SCRYPT, which is Firebase's own")
	}
	p := &password.Firebase{}
	var errs []error
	for name, into := range map[string]*[]byte{"base64_signer_key": &p.SignerKey, "base64_salt_separator": &p.SaltSeparator} {
		var err error
		if *into, err = base64.StdEncoding.DecodeString(values[name]); err != nil || len(*into) == 0 && name == "base64_signer_key" {
			errs = append(errs, fmt.Errorf("%s is missing or not base64", name))
		}
	}
	for name, into := range map[string]*int{"rounds": &p.Rounds, "mem_cost": &p.MemCost} {
		var err error
		if *into, err = strconv.Atoi(values[name]); err != nil || *into < 1 || *into > 31 {
			errs = append(errs, fmt.Errorf("%s is missing or not a small number", name))
		}
	}
	return p, errors.Join(errs...)
}

// firebase is what `firebase auth:export users.json` or users.csv writes. People log in by address.
var firebase = mapping{
	columns:  []string{"email"},
	optional: []string{"emailVerified", "passwordHash", "salt", "displayName", "disabled", "createdAt"},
	foreign:  true, hash: "passwordHash", document: true,
	header: []string{
		"localId", "email", "emailVerified", "passwordHash", "salt", "displayName", "photoUrl", "google", "google", "google", "google",
		"facebook", "facebook", "facebook", "facebook", "twitter", "twitter", "twitter", "twitter", "github", "github", "github", "github",
		"createdAt", "lastSignedInAt", "phoneNumber", "disabled",
	},
	read: func(f fields) (account.ImportedUser, *account.Refusal) {
		u := account.ImportedUser{Login: f["email"], Email: f["email"], FullName: f["displayName"]}
		refusal := f.fill(&u, "passwordHash", "createdAt", flag{"emailVerified", &u.EmailVerified}, flag{"disabled", &u.Disabled})
		return u, refusal
	},
}

// supabase is the table auth.users. People log in by address.
var supabase = mapping{
	columns:  []string{"email", "encrypted_password"},
	optional: []string{"email_confirmed_at", "raw_user_meta_data", "banned_until", "deleted_at", "created_at"},
	foreign:  true, hash: "encrypted_password",
	flatten: func(object map[string]any) (map[string]any, bool) {
		if data, ok := object["raw_user_meta_data"].(map[string]any); ok {
			text, _ := json.Marshal(data) // it came from JSON
			object["raw_user_meta_data"] = string(text)
		}
		return object, true
	},
	read: func(f fields) (account.ImportedUser, *account.Refusal) {
		u := account.ImportedUser{Login: f["email"], Email: f["email"], EmailVerified: f["email_confirmed_at"] != ""}
		var data struct {
			FullName string `json:"full_name"`
			Name     string `json:"name"`
		}
		if json.Unmarshal([]byte(f["raw_user_meta_data"]), &data) == nil { // people can write anything there
			if u.FullName = data.FullName; u.FullName == "" {
				u.FullName = data.Name
			}
		}
		u.Disabled = f["deleted_at"] != ""
		return u, f.fill(&u, "encrypted_password", "created_at")
	},
}

// auth0 is the export with password hashes that Auth0's support makes: JSON lines. People log in by address.
var auth0 = mapping{
	columns:  []string{"email"},
	optional: []string{"email_verified", "passwordHash", "name", "blocked"},
	foreign:  true, hash: "passwordHash",
	read: func(f fields) (account.ImportedUser, *account.Refusal) {
		u := account.ImportedUser{Login: f["email"], Email: f["email"]}
		if !strings.Contains(f["name"], "@") { // without a name it is the address
			u.FullName = f["name"]
		}
		refusal := f.fill(&u, "passwordHash", "", flag{"email_verified", &u.EmailVerified}, flag{"blocked", &u.Disabled})
		return u, refusal
	},
}

// flattenDjango takes the fields of an object of dumpdata. The dump may have objects of other models.
func flattenDjango(object map[string]any) (map[string]any, bool) {
	if _, dump := object["model"]; !dump {
		return object, true
	}
	of, _ := object["fields"].(map[string]any)
	_, isAccount := of["password"]
	return of, isAccount
}
