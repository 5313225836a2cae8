package config

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/alecthomas/kong"

	"sesame/server/internal/tracing"
	"sesame/server/secret"
)

// Variable returns the name of the variable that sets a flag: SESAME_PUBLIC_URL for public-url.
func Variable(flag string) string {
	return Prefix + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// testPrefix is the prefix of the variables of this repository's tests, which the program ignores.
const testPrefix = Prefix + "TEST_"

// checkNames returns an error for each variable that has the prefix of the settings and is not one of known, so that
// the server does not ignore a misspelled setting.
func checkNames(environ, known []string) []error {
	var names []string
	for _, variable := range environ {
		if name, _, _ := strings.Cut(variable, "="); strings.HasPrefix(name, Prefix) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	var f []error
	for _, name := range slices.Compact(names) {
		if slices.Contains(known, name) || strings.HasPrefix(name, testPrefix) || fromKubernetes(name, names) {
			continue
		}
		text := name + " is not a setting; list them with: sesame help settings"
		if near := Nearest(name, known); near != "" {
			text = fmt.Sprintf("%s is not a setting; did you mean %s?", name, near)
		}
		f = append(f, errors.New(text))
	}
	return f
}

// fromKubernetes reports whether Kubernetes has set a variable. It sets variables for each Service of a namespace in
// each container, and those of a Service called sesame, or sesame-db, have the prefix of the settings.
func fromKubernetes(name string, names []string) bool {
	for _, other := range names {
		service, ok := strings.CutSuffix(other, "_SERVICE_HOST")
		if !ok {
			continue
		}
		rest, ok := strings.CutPrefix(name, service+"_")
		if ok && (rest == "SERVICE_HOST" || rest == "SERVICE_PORT" || rest == "PORT" ||
			strings.HasPrefix(rest, "SERVICE_PORT_") || strings.HasPrefix(rest, "PORT_")) {
			return true
		}
	}
	return false
}

// Nearest returns the known name that was probably meant: one that begins with the given name, or else the one with the
// smallest edit distance, or "" if none is near.
func Nearest(name string, known []string) (near string) {
	for _, candidate := range known {
		if name != Prefix && strings.HasPrefix(candidate, name+"_") {
			return candidate
		}
	}
	fewest := len(strings.TrimPrefix(name, Prefix))/3 + 1
	for _, candidate := range known {
		if n := distance(name, candidate); n <= fewest && (near == "" || n < fewest) {
			near, fewest = candidate, n
		}
	}
	return near
}

// distance returns the Levenshtein distance: the number of bytes to insert, delete or replace.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost = 1 + min(diagonal, row[j], row[j+1])
			}
			diagonal, row[j+1] = row[j+1], cost
		}
	}
	return row[len(b)]
}

// checkText returns an error for a value with quotes or line breaks, which belong to the file that sets the variable:
// docker --env-file, for example, does not remove quotes. The error does not contain the value, which may be a secret.
func checkText(name, value string) error {
	switch {
	case name == Prefix+"MAIL_FROM": // the name of the sender may have quotes
		return nil
	case strings.Contains(value, `"`) || strings.HasPrefix(value, "'") || strings.HasSuffix(value, "'"):
		return fmt.Errorf("%s has quotes in its value, which the server would not remove; leave them out", name)
	case name == Prefix+"MASTER_KEY", name == Prefix+"SECOND_MASTER_KEY": // read from files, which end with a line break
		return nil
	case strings.TrimSpace(value) != value || strings.ContainsFunc(value, isControl):
		return fmt.Errorf("%s begins or ends with white space, or contains a control character; remove it", name)
	}
	return nil
}

func isControl(r rune) bool { return r < ' ' || r == 0x7f }

// FromEnv reads the settings from variables in the form of os.Environ, NAME=value, exactly as the command line does:
// with the same defaults, and with one error that names every unknown SESAME_ variable and every invalid value.
func FromEnv(environ []string) (Settings, error) {
	var s Settings
	values := map[string]string{}
	for _, variable := range environ {
		name, value, _ := strings.Cut(variable, "=")
		values[name] = value
	}
	parser, err := kong.New(&s, kong.NoDefaultHelp(), Variables(func(name string) string { return values[name] }))
	if err != nil {
		return s, err
	}
	if _, err = parser.Parse(nil); err != nil {
		return s, err
	}
	s.Traces = tracing.ReadVariables(func(name string) string { return values[name] })
	s.Remember(Flags(parser), nil, func(name string) string { return values[name] })
	return s, errors.Join(CheckVariables(environ, parser), s.Check())
}

// Variables is a parser's option that reads the settings from variables: --public-url from SESAME_PUBLIC_URL. The flags
// of a single command are no settings and have no variable, unless the command has the tag variables: then they have its name, too.
func Variables(getenv func(string) string) kong.Option {
	return kong.Resolvers(kong.ResolverFunc(func(_ *kong.Context, path *kong.Path, flag *kong.Flag) (any, error) {
		name := ""
		switch {
		case path.App != nil && !notSetting(flag):
			name = Variable(flag.Name)
		case path.Command != nil && HasVariables(path.Command):
			name = CommandVariable(path.Command, flag)
		}
		if value := getenv(name); name != "" && value != "" {
			return value, nil
		}
		return nil, nil
	}))
}

// HasVariables reports whether the flags of a command can be set by variables: those of a command that runs as a service.
func HasVariables(command *kong.Node) bool { return command.Tag != nil && command.Tag.Has("variables") }

// CommandVariable returns the name of the variable that sets a flag of a command: SESAME_GUARD_SPEC for guard --spec.
func CommandVariable(command *kong.Node, flag *kong.Flag) string {
	return Variable(command.Name + "-" + flag.Name)
}

// commandVariables are the variables that set flags of commands.
func commandVariables(parser *kong.Kong) (names []string) {
	for _, command := range parser.Model.Children {
		for _, flag := range command.Flags {
			if HasVariables(command) {
				names = append(names, CommandVariable(command, flag))
			}
		}
	}
	return names
}

// Flags returns the flags of a parser that are settings.
func Flags(parser *kong.Kong) []*kong.Flag {
	return slices.DeleteFunc(slices.Clone(parser.Model.Flags), notSetting)
}

// notSetting reports whether a flag of the whole program is no setting.
func notSetting(f *kong.Flag) bool { return f.Name == "help" || f.Name == "version" }

// CheckVariables returns one error for all variables with the prefix of the settings that set nothing, and for all
// values with characters that no setting can have.
func CheckVariables(environ []string, parser *kong.Kong) error {
	settings := Flags(parser)
	known := make([]string, len(settings))
	var texts []error
	for i, flag := range settings {
		known[i] = Variable(flag.Name)
		switch value := flag.Target.Interface().(type) {
		case string:
			texts = append(texts, checkText(known[i], value))
		case List:
			texts = append(texts, checkText(known[i], string(value)))
		case secret.Text:
			texts = append(texts, checkText(known[i], value.Reveal()))
		}
	}
	return errors.Join(append(checkNames(environ, append(known, commandVariables(parser)...)), texts...)...)
}
