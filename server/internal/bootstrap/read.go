package bootstrap

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"sesame/server/internal/config"
	"sesame/server/secret"
)

// maxFile bounds the file, in bytes.
const maxFile = 1 << 20

// Read reads a bootstrap file. It does not read the files that are named in it.
func Read(name string) (*File, error) {
	opened, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer opened.Close()
	text, err := io.ReadAll(io.LimitReader(opened, maxFile+1))
	if err != nil {
		return nil, err
	}
	if len(text) > maxFile {
		return nil, fmt.Errorf("%s has more than %d bytes; import accounts in such a number with: sesame user import", name, maxFile)
	}
	return parse(name, text)
}

// parse parses the text of a file.
func parse(name string, text []byte) (*File, error) {
	r := &reader{File: &File{name: name}}
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	var document, more yaml.Node
	if err := decoder.Decode(&document); errors.Is(err, io.EOF) {
		return r.File, nil // an empty file declares nothing
	} else if err != nil {
		return nil, notYAML(name, err)
	}
	if err := decoder.Decode(&more); err == nil {
		return nil, r.at(more.Line, "a second YAML document begins here; put all entries into one")
	} else if !errors.Is(err, io.EOF) {
		return nil, notYAML(name, err)
	}
	if root := document.Content[0]; root.Tag != "!!null" {
		m := r.mapping(root, "the file", "users", "clients", "providers")
		for _, node := range r.list(m, "users") {
			r.user(node)
		}
		for _, node := range r.list(m, "clients") {
			r.client(node)
		}
		for _, node := range r.list(m, "providers") {
			r.provider(node)
		}
	}
	r.duplicates()
	return r.File, errAll(r.faults)
}

var lineNumber = regexp.MustCompile(`line (\d+)`)

// notYAML reports a syntax error by its line alone: the parser quotes parts of the text, which may be a password hash.
func notYAML(name string, err error) error {
	const advice = "check the indentation, and put texts with special characters, such as one that begins with *, between single quotes"
	if found := lineNumber.FindStringSubmatch(err.Error()); found != nil {
		return fmt.Errorf("%s:%s: this is not valid YAML, here or just above; %s", name, found[1], advice)
	}
	return fmt.Errorf("%s: this is not valid YAML; %s", name, advice)
}

// reader collects the faults of a file.
type reader struct {
	*File
	faults []error
}

func (r *reader) fault(line int, format string, args ...any) {
	r.faults = append(r.faults, r.at(line, format, args...))
}

// values are the nodes of a mapping by their keys.
type values map[string]*yaml.Node

var keyName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_-]{0,30}$`)

// instead tells people who put a secret into the file what to do.
var instead = map[string]string{
	"password":      "keep passwords out of this file: name a file in password_file, or put a hash into password_hash",
	"secret":        "keep secrets out of this file: name a file in secret_file, or put the SHA-256 of the secret into secret_sha256",
	"client_secret": "keep secrets out of this file: name a file in secret_file, or put the SHA-256 of the secret into secret_sha256",
}

// mapping returns the values of a mapping, whose keys must be among those that are known. what names the mapping in errors.
func (r *reader) mapping(node *yaml.Node, what string, known ...string) values {
	m := values{}
	if node.Kind != yaml.MappingNode {
		r.fault(node.Line, "%s must be a mapping with the keys %s", what, strings.Join(known, ", "))
		return m
	}
	for i := 0; i < len(node.Content); i += 2 {
		key, value := node.Content[i], node.Content[i+1]
		name := key.Value
		switch {
		case slices.Contains(known, name) && m[name] != nil:
			r.fault(key.Line, "%s has the key %s twice; remove one", what, name)
		case slices.Contains(known, name) && value.Kind == yaml.AliasNode:
			r.fault(value.Line, "an alias (*) is not allowed here; write the value, and put texts that begin with * between single quotes")
		case slices.Contains(known, name):
			m[name] = value
		case instead[name] != "":
			r.fault(key.Line, "%s has the key %s; %s", what, name, instead[name])
		case !keyName.MatchString(name): // perhaps a secret in the wrong place
			r.fault(key.Line, "%s has a key that is not a name; the keys are %s", what, strings.Join(known, ", "))
		default:
			advice := "the keys are " + strings.Join(known, ", ")
			if near := config.Nearest(name, known); near != "" {
				advice = "did you mean " + near + "?"
			}
			r.fault(key.Line, "%s has the unknown key %s; %s", what, name, advice)
		}
	}
	return m
}

// list returns the elements of a sequence.
func (r *reader) list(m values, key string) []*yaml.Node {
	node := m[key]
	switch {
	case node == nil || node.Tag == "!!null":
		return nil
	case node.Kind != yaml.SequenceNode:
		r.fault(node.Line, "%s must be a list; begin each element with a hyphen", key)
		return nil
	}
	return node.Content
}

// text returns a text, or "" if there is none.
func (r *reader) text(m values, key string) string {
	node := m[key]
	switch {
	case node == nil:
		return ""
	case node.Kind != yaml.ScalarNode || node.Tag != "!!str":
		r.fault(node.Line, "%s must be a text; put it between single quotes", key)
	case node.Value == "":
		r.fault(node.Line, "%s is empty; give a value or remove the key", key)
	}
	return node.Value
}

// boolean returns true or false, or nil if there is none.
func (r *reader) boolean(m values, key string) *bool {
	node := m[key]
	if node == nil {
		return nil
	}
	value, err := strconv.ParseBool(node.Value)
	if err != nil || node.Tag != "!!bool" {
		r.fault(node.Line, "%s must be true or false", key)
	}
	return &value
}

func (r *reader) isTrue(m values, key string) bool {
	value := r.boolean(m, key)
	return value != nil && *value
}

// texts returns a list of texts, or nil if there is none.
func (r *reader) texts(m values, key string) []string {
	if m[key] == nil {
		return nil
	}
	list := []string{}
	for _, node := range r.list(m, key) {
		if node.Kind != yaml.ScalarNode || node.Tag != "!!str" {
			r.fault(node.Line, "each element of %s must be a text", key)
			continue
		}
		list = append(list, node.Value)
	}
	return list
}

// required returns a text that an entry must have.
func (r *reader) required(node *yaml.Node, m values, what, key, advice string) string {
	if m[key] == nil && node.Kind == yaml.MappingNode {
		r.fault(node.Line, "%s has no %s%s", what, key, advice)
	}
	return r.text(m, key)
}

func (r *reader) lineOf(m values, key string, otherwise int) int {
	if m[key] != nil {
		return m[key].Line
	}
	return otherwise
}

func (r *reader) user(node *yaml.Node) {
	const what = "an entry of users"
	m := r.mapping(node, what, "username", "email", "email_verified", "full_name", "scopes", "disabled", "password_hash", "password_file", "update")
	u := user{
		line: node.Line, username: r.required(node, m, what, "username", ""), email: r.text(m, "email"), emailVerified: r.isTrue(m, "email_verified"),
		name: r.text(m, "full_name"), scopes: r.texts(m, "scopes"), disabled: r.boolean(m, "disabled"), passwordHash: secret.New(r.text(m, "password_hash")),
		update: r.isTrue(m, "update"), scopesLine: r.lineOf(m, "scopes", node.Line),
	}
	if m["full_name"] != nil {
		u.fullName = &u.name
	}
	u.passwordLine = r.lineOf(m, "password_hash", node.Line)
	if file := r.text(m, "password_file"); file != "" {
		u.passwordFile, u.passwordLine = r.path(file), m["password_file"].Line
		if m["password_hash"] != nil {
			r.fault(u.passwordLine, "%s has both a password_file and a password_hash; remove one", what)
		}
	}
	if u.emailVerified && u.email == "" {
		r.fault(m["email_verified"].Line, "%s has email_verified without an email; add the address", what)
	}
	r.users = append(r.users, u)
}

var sha256Hex = regexp.MustCompile(`^[0-9a-f]{64}$`)

func (r *reader) client(node *yaml.Node) {
	const what = "an entry of clients"
	m := r.mapping(node, what, "client_id", "name", "scopes", "password_grant", "public", "third_party", "optional_pkce", "device_grant", "backchannel_logout_uri",
		"redirect_uris", "post_logout_redirect_uris", "secret_file", "secret_sha256", "logo_file", "update")
	c := client{
		line: node.Line, id: r.required(node, m, what, "client_id", ", a UUID that you choose; make one with: uuidgen"),
		name: r.required(node, m, what, "name", ""), scopes: r.texts(m, "scopes"), secretHash: r.text(m, "secret_sha256"), update: r.isTrue(m, "update"),
		passwordGrant: r.isTrue(m, "password_grant"), public: r.isTrue(m, "public"), thirdParty: r.isTrue(m, "third_party"), device: r.isTrue(m, "device_grant"),
		logoutURI:    r.text(m, "backchannel_logout_uri"),
		optionalPKCE: r.isTrue(m, "optional_pkce"), redirects: r.texts(m, "redirect_uris"), signOuts: r.texts(m, "post_logout_redirect_uris"),
	}
	c.secretLine = r.lineOf(m, "secret_sha256", node.Line)
	if file := r.text(m, "secret_file"); file != "" {
		c.secretFile, c.secretLine = r.path(file), m["secret_file"].Line
	}
	if file := r.text(m, "logo_file"); file != "" {
		c.logoFile, c.logoLine = r.path(file), m["logo_file"].Line
	}
	switch {
	case c.secretFile != "" && m["secret_sha256"] != nil:
		r.fault(c.secretLine, "%s has both a secret_file and a secret_sha256; remove one", what)
	case c.public && (m["secret_file"] != nil || m["secret_sha256"] != nil):
		r.fault(c.secretLine, "%s is public and has a secret; remove one of the two", what)
	case !c.public && node.Kind == yaml.MappingNode && m["secret_file"] == nil && m["secret_sha256"] == nil:
		r.fault(node.Line, "%s has no secret; name a file in secret_file (openssl rand -hex 32 >FILE)", what)
	case m["secret_sha256"] != nil && !sha256Hex.MatchString(c.secretHash):
		r.fault(c.secretLine, "secret_sha256 must be 64 hexadecimal digits in lower case; compute it with: printf %%s \"$SECRET\" | sha256sum")
	}
	r.clients = append(r.clients, c)
}

// duplicates refuses two entries that mean the same. Usernames that differ only in letter case are found when they are applied.
func (r *reader) duplicates() {
	lines := map[string]int{}
	once := func(kind, value string, line int) {
		key := kind + " " + strings.ToLower(value)
		if first := lines[key]; value != "" && first > 0 {
			r.fault(line, "the %s %q is that of the entry in line %d; remove one", kind, value, first)
		}
		lines[key] = line
	}
	for _, u := range r.users {
		once("username", u.username, u.line)
	}
	for _, c := range r.clients {
		once("client_id", c.id, c.line)
		once("name", c.name, c.line)
	}
	for _, p := range r.providers {
		once("provider", p.name, p.line)
		once("issuer", p.issuer, p.line)
	}
}
