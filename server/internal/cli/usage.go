package cli

import (
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/alecthomas/kong"

	"sesame/server/internal/config"
)

// The texts of the parser's errors, whose types it does not export.
var (
	wrongWord  = regexp.MustCompile(`^unexpected argument (.*?)(, did you mean .*)?$`)
	wrongFlag  = regexp.MustCompile(`^unknown flag (-.*?)(, did you mean .*)?$`)
	noValue    = regexp.MustCompile(`^--([\w-]+): (?:expected .*(?:EOL|\(.*flag\))|missing value)`)
	wrongBool  = regexp.MustCompile(`^--([\w-]+): .*\b(?:bool|true or)\b.*?"(.*)"`)
	wrongValue = regexp.MustCompile(`^(\S+) must be one of (.*) but got "(.*)"$`)
	noFile     = regexp.MustCompile(`^(\S+): stat (.*): no such file or directory$`)
)

// explainUsage turns what the parser refuses into a sentence that says what to do, with an example of the command.
func explainUsage(parser *kong.Kong, args []string, err error) error {
	node, text := parser.Model.Node, err.Error()
	if parse, ok := errors.AsType[*kong.ParseError](err); ok && parse.Context != nil {
		node = cmp.Or(parse.Context.Selected(), node)
	}
	if node == parser.Model.DefaultCmd && wrongWord.MatchString(text) && !slices.Contains(args, node.Name) {
		node = parser.Model.Node // the parser takes the default command for a word that is no command
	}
	switch {
	case wrongWord.MatchString(text) && len(node.Children) > 0:
		return unknownCommand(parser, node, wrongWord.FindStringSubmatch(text)[1])
	case wrongWord.MatchString(text): // it is not repeated, since it may be a password
		text = fmt.Sprintf("%s takes no arguments", commandName(node))
		if len(node.Positional) > 0 {
			text = fmt.Sprintf("too many arguments: %s takes only %s; put a value with spaces in quotes", commandName(node), arguments(node))
		}
	case wrongFlag.MatchString(text):
		text = unknownFlag(node, wholeFlag(node, args, wrongFlag.FindStringSubmatch(text)[1]))
	case noValue.MatchString(text):
		name := noValue.FindStringSubmatch(text)[1]
		text = fmt.Sprintf("--%s needs a value", name)
		if flag := flagOf(node, name); flag != nil {
			text += ": " + strings.TrimPrefix(flag.String(), "-h, ")
		}
	case wrongBool.MatchString(text):
		m := wrongBool.FindStringSubmatch(text)
		text = fmt.Sprintf("unknown value %q for --%s; give the flag alone, or with true or false", m[2], m[1])
	case wrongValue.MatchString(text):
		m := wrongValue.FindStringSubmatch(text)
		text = fmt.Sprintf("unknown value %q for %s; it must be %s", m[3], m[1], strings.Join(strings.Split(strings.ReplaceAll(m[2], `"`, ""), ","), " or "))
	case noFile.MatchString(text):
		m := noFile.FindStringSubmatch(text)
		text = fmt.Sprintf("there is no file %s, which %s names", m[2], m[1])
	case strings.HasPrefix(text, "expected ") && len(node.Children) > 0:
		text = fmt.Sprintf("%s needs a command: %s", commandName(node), strings.Join(commandNames(node), ", "))
	case strings.HasPrefix(text, "expected "):
		text = fmt.Sprintf("%s needs %s", commandName(node), strings.Join(missingArguments(node), " and "))
	}
	return usagef("%s%s", text, hints(node))
}

func isFlag(arg string) bool { return strings.HasPrefix(arg, "-") }

// hints are the lines below an error: an example, and where more is explained.
func hints(node *kong.Node) string {
	text := ""
	if example := node.Tag.Get("example"); example != "" {
		text = "\nexample: " + example
	}
	if node.Parent == nil {
		return "\nsee:     sesame --help, or sesame help settings"
	}
	return text + "\nsee:     " + node.FullPath() + " --help"
}

// commandName is a command as an error names it: user create.
func commandName(node *kong.Node) string { return cmp.Or(node.Path(), node.FullPath()) }

// arguments are the names of a command's arguments.
func arguments(node *kong.Node) string {
	names := make([]string, len(node.Positional))
	for i, argument := range node.Positional {
		names[i] = argument.Summary()
	}
	return strings.Join(names, " ")
}

func commandNames(node *kong.Node) (names []string) {
	for _, child := range node.Children {
		if !child.Hidden {
			names = append(names, child.Name)
		}
	}
	return names
}

func missingArguments(node *kong.Node) (missing []string) {
	for _, argument := range node.Positional {
		if argument.Required && !argument.Set {
			missing = append(missing, argument.Summary())
		}
	}
	return missing
}

func flagOf(node *kong.Node, name string) *kong.Flag {
	for _, group := range node.AllFlags(false) {
		for _, flag := range group {
			if flag.Name == name {
				return flag
			}
		}
	}
	return nil
}

// otherWords are the words that other programs have for our commands.
var otherWords = map[string]string{
	"users": "user", "account": "user", "accounts": "user", "clients": "client", "key": "keys",
	"add": "create", "register": "create", "adduser": "create", "useradd": "create", "createuser": "create", "createsuperuser": "create",
	"remove": "delete", "rm": "delete", "del": "delete", "ls": "list", "get": "show", "info": "show", "view": "show", "passwd": "set-password",
	"password": "set-password", "reset-password": "set-password", "changepassword": "set-password", "lock": "disable", "unlock": "enable",
	"confirm": "verify", "verify-email": "verify", "logout": "sessions", "session": "sessions", "revoke": "grant", "scopes": "grant",
	"start": "serve", "run": "serve", "server": "serve", "init": "new", "migrations": "migrate", "upgrade": "migrate", "settings": "config", "env": "config",
	"health": "healthcheck", "status": "healthcheck", "completions": "completion", "autocomplete": "completion",
}

// unknownCommand suggests the command that was probably meant: one of the node, or one below it.
func unknownCommand(parser *kong.Kong, node *kong.Node, word string) error {
	text := fmt.Sprintf("unknown command %q", word)
	if near := nearCommands(parser, node, strings.ToLower(word)); len(near) > 0 {
		text += "; did you mean " + strings.Join(near, " or ") + "?"
	} else {
		text += fmt.Sprintf("; %s has %s", node.FullPath(), strings.Join(commandNames(node), ", "))
	}
	return usagef("%s\nsee:     %s --help", text, node.FullPath())
}

func nearCommands(parser *kong.Kong, node *kong.Node, word string) (paths []string) {
	if word == "version" && node == parser.Model.Node {
		return []string{parser.Model.Name + " --version"}
	}
	if word == "help" {
		return []string{parser.Model.Name + " help " + node.Path()}
	}
	byName := map[string][]string{}
	for _, leaf := range append(node.Leaves(true), node.Children...) {
		if !slices.Contains(byName[leaf.Name], leaf.FullPath()) {
			byName[leaf.Name] = append(byName[leaf.Name], leaf.FullPath())
		}
	}
	if paths = byName[word]; paths != nil {
		return paths
	}
	if other, ok := otherWords[word]; ok && byName[other] != nil {
		return byName[other]
	}
	return byName[nearName(word, commandNames(node))]
}

// nearName is the name that begins with the word or, if none does, differs from it in a few letters; or "".
func nearName(word string, names []string) string {
	if i := slices.IndexFunc(names, func(name string) bool { return len(word) > 1 && strings.HasPrefix(name, word) }); i >= 0 {
		return names[i]
	}
	return config.Nearest(word, names)
}

// wholeFlag is the argument that holds an unknown flag: the parser reads -listen as the flags -l, -i and so on. Only the name of a
// flag is repeated, because an argument such as -psecret may hold a password.
func wholeFlag(node *kong.Node, args []string, given string) string {
	for _, arg := range args {
		name, _, _ := strings.Cut(arg, "=")
		if !strings.HasPrefix(given, "--") && isFlag(name) && strings.Contains(name, given[1:]) && flagOf(node, name[1:]) != nil {
			return name
		}
	}
	return given
}

// unknownFlag suggests the flag that was probably meant, of this command or, if it comes before the command, of a command.
func unknownFlag(node *kong.Node, given string) string {
	text := fmt.Sprintf("unknown flag %s", given)
	word := strings.TrimLeft(given, "-")
	var own, settings, below []string
	for n := node; n != nil; n = n.Parent {
		for _, flag := range n.Flags {
			switch {
			case flag.Hidden:
			case n.Parent == nil:
				settings = append(settings, flag.Name)
			default:
				own = append(own, flag.Name)
			}
		}
	}
	for _, leaf := range node.Leaves(true) {
		for _, flag := range leaf.Flags {
			below = append(below, flag.Name)
		}
	}
	switch {
	case strings.Contains(word, "password") && node.FullPath() != "sesame serve":
		return text + "; a password is read from a prompt or from standard input, never from an argument, which others could see"
	case node.Parent == nil && strings.EqualFold(word, "v"):
		return text + "; did you mean --version?"
	case slices.Contains(below, word):
		return fmt.Sprintf("%s; put it after the command: %s COMMAND %s", text, node.FullPath(), given)
	}
	for _, names := range [][]string{own, settings} {
		if near := nearName(word, names); near != "" && len(word) > 1 {
			return fmt.Sprintf("%s; did you mean --%s?", text, near)
		}
	}
	return text
}
