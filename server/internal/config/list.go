package config

import (
	"fmt"
	"net/url"
	"strings"

	"github.com/alecthomas/kong"

	"sesame/server/internal/store"
	"sesame/server/internal/tracing"
	"sesame/server/secret"
)

// Source is where the value of a setting comes from.
type Source string

// The sources.
const (
	Flag        Source = "flag"
	Environment Source = "environment"
	Program     Source = "program" // code that embeds the server
	Default     Source = "default" // which may follow from other settings: see InForce
)

// Setting is a setting as a person may see it.
type Setting struct {
	Name   string // of the variable
	Flag   string // --public-url; "" for a variable of OpenTelemetry
	Value  string // without secrets
	Source Source
	Help   string
}

// Remember notes where the settings of a parser come from: given are the flags of the command line.
func (s *Settings) Remember(flags []*kong.Flag, given map[string]bool, getenv func(string) string) {
	s.sources = map[string]Source{}
	for _, flag := range flags {
		switch {
		case given[flag.Name]:
			s.sources[flag.Name] = Flag
		case getenv(Variable(flag.Name)) != "":
			s.sources[flag.Name] = Environment
		}
	}
}

// List lists every setting, and the variables of OpenTelemetry that are set. It is the one place that decides what a person may see of
// them: nothing of a secret.Text, but the database URL without its passwords.
func (s *Settings) List() ([]Setting, error) {
	copied := *s // the parser must not change it
	parser, err := kong.New(&copied, kong.NoDefaultHelp())
	if err != nil {
		return nil, err
	}
	standard, err := FromEnv(nil)
	if err != nil {
		return nil, err
	}
	usual, err := kong.New(&standard, kong.NoDefaultHelp())
	if err != nil {
		return nil, err
	}
	defaults := map[string]string{}
	for _, flag := range Flags(usual) {
		defaults[flag.Name] = shown(flag)
	}
	var list []Setting
	for _, flag := range Flags(parser) {
		one := Setting{Variable(flag.Name), "--" + flag.Name, shown(flag), copied.sources[flag.Name], flag.Help}
		if one.Source == "" {
			one.Source = Default
			if one.Value != defaults[flag.Name] {
				one.Source = Program
			}
		}
		list = append(list, one)
	}
	for _, v := range tracing.Variables {
		if value, ok := s.Traces.Print(v.Name); ok {
			list = append(list, Setting{Name: v.Name, Value: value, Source: Environment, Help: v.Help})
		}
	}
	return list, nil
}

// shown is the value of a setting as a person may see it.
func shown(flag *kong.Flag) string {
	if text, ok := flag.Target.Interface().(secret.Text); ok && flag.Name == "database-url" {
		return masked(text) // only its password is a secret
	}
	return fmt.Sprint(flag.Target.Interface())
}

// masked returns a database URL without its passwords. A URL that cannot be parsed is hidden completely, since the password
// could be anywhere in it.
func masked(address secret.Text) string {
	if _, sqlite := store.SQLitePath(address.Reveal()); sqlite {
		return address.Reveal()
	}
	u, err := url.Parse(address.Reveal())
	if err != nil || u.Fragment != "" {
		return address.String()
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return address.String()
	}
	for name := range query {
		if strings.Contains(strings.ToLower(name), "password") {
			query.Set(name, "xxxxx") // as Redacted does
		}
	}
	u.RawQuery = query.Encode()
	return u.Redacted()
}
