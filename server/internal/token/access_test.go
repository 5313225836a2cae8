package token

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"errors"
	"maps"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"sesame/server/internal/token/atjwt"
)

const (
	testIssuer   = "https://login.example"
	testAudience = "https://api.example"
)

// moment is when the tokens of these tests are looked at, unless a test says otherwise.
var moment = time.Unix(1_800_000_000, 0)

// forger writes tokens that Issuer.Sign would not: with any header, any claims and any signature.
type forger struct {
	issuer *Issuer
	key    Key
}

func newForger(t *testing.T, now func() time.Time) forger {
	t.Helper()
	key, err := GenerateKey(ES256)
	if err != nil {
		t.Fatal(err)
	}
	return forger{NewIssuer(testIssuer, testAudience, NewKeyring(key), now), key}
}

func atMoment() time.Time { return moment }

// object is a JSON object; raw is a JSON value that Go has no other way to write.
type (
	object map[string]any
	raw    = json.RawMessage
)

// absent takes a member away.
var absent = struct{}{}

func (o object) with(changes object) object {
	o = maps.Clone(o)
	for name, value := range changes {
		if o[name] = value; value == absent {
			delete(o, name)
		}
	}
	return o
}

func (f forger) header() object { return object{"alg": ES256, "typ": atjwt.Type, "kid": f.key.ID} }

func (f forger) claims() object {
	return object{
		"iss": testIssuer, "aud": testAudience, "sub": "user", "sid": "session", "jti": "id",
		"client_id": "first-party", "scope": "me:read", "auth_time": moment.Unix(),
		"iat": moment.Unix(), "exp": moment.Add(10 * time.Minute).Unix(),
	}
}

// encode writes header and claims, the part of a token that is signed.
func encode(t *testing.T, header, claims object) string {
	t.Helper()
	parts := make([]string, 0, 2)
	for _, part := range []object{header, claims} {
		text, err := json.Marshal(part)
		if err != nil {
			t.Fatal(err)
		}
		parts = append(parts, base64.RawURLEncoding.EncodeToString(text))
	}
	return strings.Join(parts, ".")
}

func sign(t *testing.T, method jwt.SigningMethod, key any, input string) string {
	t.Helper()
	signature, err := method.Sign(input, key)
	if err != nil {
		t.Fatal(err)
	}
	return input + "." + base64.RawURLEncoding.EncodeToString(signature)
}

// make writes a token that our own key has signed, with these changes.
func (f forger) make(t *testing.T, header, claims object) string {
	t.Helper()
	return sign(t, jwt.SigningMethodES256, f.key.private, encode(t, f.header().with(header), f.claims().with(claims)))
}

// check tries a token twice: what was verified once is remembered, and must not be judged otherwise.
func (f forger) check(t *testing.T, text string, accepted bool) {
	t.Helper()
	for range 2 {
		_, err := f.issuer.Verify(text)
		if (err == nil) != accepted || err != nil && !errors.Is(err, ErrInvalid) {
			t.Errorf("accepted: %t, want %t (%v)", err == nil, accepted, err)
		}
	}
}

// A2: the reason why a token is invalid is a text of ours; those of the library quote the token.
func TestARefusedTokenIsNotQuoted(t *testing.T) {
	t.Parallel()
	f := newForger(t, atMoment)
	for _, canary := range []any{4242424242.4242, "Canary", []string{"Canary"}, object{"Canary": "Canary"}} {
		for name := range f.claims() {
			if _, err := f.issuer.Verify(f.make(t, nil, object{name: canary})); err != nil && (strings.Contains(err.Error(), "4242424242") || strings.Contains(err.Error(), "Canary")) {
				t.Errorf("%s: %v", name, err)
			}
		}
		for name := range f.header() {
			_, err := f.issuer.Verify(f.make(t, object{name: canary}, nil))
			if !errors.Is(err, ErrInvalid) || strings.Contains(err.Error(), "4242424242") || strings.Contains(err.Error(), "Canary") {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

func TestASignedTokenIsReadBack(t *testing.T) {
	f := newForger(t, atMoment)
	in := Access{
		ID: "id", Subject: "user", SessionID: "session", ClientID: "first-party", Scope: "me:read",
		AuthTime: moment.Add(-time.Hour), Methods: []string{"pwd", "otp", "mfa"}, IssuedAt: moment, ExpiresAt: moment.Add(time.Minute),
	}
	text, err := f.issuer.Sign(in)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if out, err := f.issuer.Verify(text); err != nil || !reflect.DeepEqual(out, in) {
			t.Errorf("%v: %+v, want %+v", err, out, in)
		}
	}
}

// T2, T3: what the header may say.
func TestHeadersOfAccessTokens(t *testing.T) {
	f := newForger(t, atMoment)
	for name, c := range map[string]struct {
		header   object
		accepted bool
	}{
		"ours":                             {nil, true},
		"typ with application/":            {object{"typ": "application/at+jwt"}, true},
		"typ in capitals":                  {object{"typ": "AT+JWT"}, true},
		"typ with application/ in capital": {object{"typ": "Application/at+JWT"}, true},
		"an unknown member":                {object{"foo": "bar"}, true},
		"typ JWT":                          {object{"typ": "JWT"}, false},
		"typ with application/ twice":      {object{"typ": "application/application/at+jwt"}, false},
		"typ empty":                        {object{"typ": ""}, false},
		"typ missing":                      {object{"typ": absent}, false},
		"typ a number":                     {object{"typ": 1}, false},
		"typ an array":                     {object{"typ": []string{atjwt.Type}}, false},
		"crit unknown":                     {object{"crit": []string{"exp"}}, false},
		"crit with b64":                    {object{"crit": []string{"b64"}, "b64": false}, false},
		"crit empty":                       {object{"crit": []string{}}, false},
		"crit null":                        {object{"crit": nil}, false},
		"kid unknown":                      {object{"kid": "unknown"}, false},
		"kid missing":                      {object{"kid": absent}, false},
		"kid null":                         {object{"kid": nil}, false},
		"kid a number":                     {object{"kid": 7}, false},
		"kid an array":                     {object{"kid": []string{f.key.ID}}, false},
		"kid a path":                       {object{"kid": "../../../dev/null"}, false},
		"kid SQL":                          {object{"kid": "' OR '1'='1"}, false},
		"alg in small letters":             {object{"alg": "es256"}, false},
		"alg missing":                      {object{"alg": absent}, false},
		"alg a number":                     {object{"alg": 256}, false},
		"alg ES384 over an ES256 one":      {object{"alg": "ES384"}, false},
	} {
		t.Run(name, func(t *testing.T) { f.check(t, f.make(t, c.header, nil), c.accepted) })
	}
}

// T3: what the claims may be.
func TestClaimsOfAccessTokens(t *testing.T) {
	f := newForger(t, atMoment)
	for name, c := range map[string]struct {
		claims   object
		accepted bool
	}{
		"aud an array with ours":   {object{"aud": []string{"https://other.example", testAudience}}, true},
		"aud an array without":     {object{"aud": []string{"https://other.example"}}, false},
		"aud an empty array":       {object{"aud": []string{}}, false},
		"aud of another":           {object{"aud": "https://other.example"}, false},
		"aud with a slash more":    {object{"aud": testAudience + "/"}, false},
		"aud a number":             {object{"aud": 1}, false},
		"aud missing":              {object{"aud": absent}, false},
		"iss of another":           {object{"iss": "https://evil.example"}, false},
		"iss with a slash more":    {object{"iss": testIssuer + "/"}, false},
		"iss in capitals":          {object{"iss": strings.ToUpper(testIssuer)}, false},
		"iss an array":             {object{"iss": []string{testIssuer}}, false},
		"iss missing":              {object{"iss": absent}, false},
		"sub missing":              {object{"sub": absent}, false},
		"sub empty":                {object{"sub": ""}, false},
		"sub a number":             {object{"sub": 1}, false},
		"sid missing":              {object{"sid": absent}, false},
		"exp missing":              {object{"exp": absent}, false},
		"exp null":                 {object{"exp": nil}, false},
		"exp negative":             {object{"exp": -1}, false},
		"exp zero":                 {object{"exp": 0}, false},
		"exp with a fraction":      {object{"exp": raw("1800000600.5")}, false},
		"exp with a zero fraction": {object{"exp": raw("1800000600.0")}, false},
		"exp with an exponent":     {object{"exp": raw("1.8000006e9")}, false},
		"exp a string":             {object{"exp": "1800000600"}, false},
		"exp beyond 64 bits":       {object{"exp": raw("9223372036854775808")}, false},
		"exp absurd":               {object{"exp": raw("1e400")}, false},
		"exp an array":             {object{"exp": []int{1_800_000_600}}, false},
		"exp true":                 {object{"exp": true}, false},
		"iat missing":              {object{"iat": absent}, false},
		"jti missing":              {object{"jti": absent}, false},
		"client_id missing":        {object{"client_id": absent}, false},
		"iat null":                 {object{"iat": nil}, false},
		"iat with a fraction":      {object{"iat": raw("1800000000.5")}, false},
		"iat a string":             {object{"iat": "1800000000"}, false},
		"nbf in the past":          {object{"nbf": moment.Unix() - 1}, true},
		"nbf with a fraction":      {object{"nbf": raw("1799999999.5")}, false},
		"nbf a string":             {object{"nbf": "1799999999"}, false},
		"auth_time a string":       {object{"auth_time": "1800000000"}, false},
		"an unknown claim":         {object{"x": strings.Repeat("x", 1<<10)}, true},
		"more than 8 KiB":          {object{"x": strings.Repeat("x", 8<<10)}, false},
	} {
		t.Run(name, func(t *testing.T) { f.check(t, f.make(t, nil, c.claims), c.accepted) })
	}
}

// T3: leeway is 30 s to the second, at either end, whether the token is new or remembered.
func TestLeewayIsThirtySecondsToTheSecond(t *testing.T) {
	now := moment
	f := newForger(t, func() time.Time { return now })
	exp, early := moment.Add(10*time.Minute), moment.Add(time.Hour)
	for name, c := range map[string]struct {
		claims   object
		at       time.Time
		accepted bool
	}{
		"29 s after exp":        {nil, exp.Add(29 * time.Second), true},
		"just under 30 s after": {nil, exp.Add(30*time.Second - 1), true},
		"30 s after exp":        {nil, exp.Add(30 * time.Second), false},
		"31 s after exp":        {nil, exp.Add(31 * time.Second), false},
		"30 s before iat":       {object{"iat": early.Unix(), "exp": early.Unix() + 60}, early.Add(-30 * time.Second), true},
		"31 s before iat":       {object{"iat": early.Unix(), "exp": early.Unix() + 60}, early.Add(-31 * time.Second), false},
		"30 s before nbf":       {object{"nbf": moment.Unix() + 30}, moment, true},
		"31 s before nbf":       {object{"nbf": moment.Unix() + 31}, moment, false},
	} {
		t.Run(name, func(t *testing.T) {
			text := f.make(t, nil, c.claims)
			now = c.at
			f.check(t, text, c.accepted)
		})
	}
	remembered := f.make(t, nil, nil)
	now = moment
	f.check(t, remembered, true)
	now = exp.Add(30 * time.Second)
	f.check(t, remembered, false)
}

// T1: only our own key, with its own algorithm, signs.
func TestForeignSignatures(t *testing.T) {
	f, other := newForger(t, atMoment), newForger(t, atMoment)
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		method jwt.SigningMethod
		key    any
	}{
		"another P-256 key under our kid": {jwt.SigningMethodES256, other.key.private},
		"ES384 under our kid":             {jwt.SigningMethodES384, p384},
		"RS256 under our kid":             {jwt.SigningMethodRS256, rsaKey},
		"PS256 under our kid":             {jwt.SigningMethodPS256, rsaKey},
		"HS256 with our kid as secret":    {jwt.SigningMethodHS256, []byte(f.key.ID)},
		"HS256 with an empty secret":      {jwt.SigningMethodHS256, []byte{}},
	} {
		t.Run(name, func(t *testing.T) {
			f.check(t, sign(t, c.method, c.key, encode(t, f.header().with(object{"alg": c.method.Alg()}), f.claims())), false)
		})
	}
}

// T1: our own key, but as another algorithm would use it. The curve alone would not give that away.
func TestAnotherAlgorithmWithOurOwnKey(t *testing.T) {
	f := newForger(t, atMoment)
	input := encode(t, f.header().with(object{"alg": "ES384"}), f.claims())
	digest := sha512.Sum384([]byte(input))
	r, s, err := ecdsa.Sign(rand.Reader, f.key.private.(*ecdsa.PrivateKey), digest[:])
	if err != nil {
		t.Fatal(err)
	}
	signature := make([]byte, 96)
	r.FillBytes(signature[:48])
	s.FillBytes(signature[48:])
	if err = jwt.SigningMethodES384.Verify(input, signature, f.key.private.Public()); err != nil {
		t.Fatalf("the library itself refuses it: %v", err)
	}
	f.check(t, input+"."+base64.RawURLEncoding.EncodeToString(signature), false)
}

// A token has one spelling, so that nothing which is kept by its text can be dodged.
func TestSpellingsOfAToken(t *testing.T) {
	f := newForger(t, atMoment)
	good := f.make(t, nil, nil)
	f.check(t, good, true)
	input, signature := good[:strings.LastIndex(good, ".")], good[strings.LastIndex(good, ".")+1:]
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	last := strings.IndexByte(alphabet, signature[len(signature)-1])
	header, rest, _ := strings.Cut(good, ".")
	for name, text := range map[string]string{
		"another last character":  good[:len(good)-1] + string(alphabet[last^1]),
		"padded":                  good + "==",
		"padded once":             good + "=",
		"a dot at the end":        good + ".",
		"a dot before":            "." + good,
		"two dots":                input + ".." + signature,
		"no signature":            input + ".",
		"no signature, no dot":    input,
		"a space at the end":      good + " ",
		"a newline at the end":    good + "\n",
		"a newline in the middle": input + "." + signature[:10] + "\r\n" + signature[10:],
		"a padded header":         header + "=." + rest,
		"half a signature":        good[:len(good)-43],
		"twice the signature":     good + signature,
		"JSON serialization":      `{"payload":"` + input + `","signature":"` + signature + `"}`,
		"empty":                   "",
		"dots":                    "..",
		"a megabyte of dots":      strings.Repeat(".", 1<<20), // T4
		"a megabyte of letters":   strings.Repeat("a", 1<<20),
	} {
		t.Run(name, func(t *testing.T) { f.check(t, text, false) })
	}
}
