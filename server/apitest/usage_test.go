package apitest

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/alecthomas/kong"

	"sesame/server/internal/cli"
	"sesame/server/internal/config"
)

// misused runs a command line that cannot be right. The answer must be short, in the form of every error, and on standard error
// alone.
func misused(t *testing.T, e environment, args ...string) (stderr string) {
	t.Helper()
	stdout, stderr, code := command(t, "", e, args...)
	if code != 2 || stdout != "" || !strings.HasPrefix(stderr, "sesame: ") || strings.Count(stderr, "\n") > 4 {
		t.Errorf("sesame %s: code %d, printed %q, said %q", strings.Join(args, " "), code, stdout, stderr)
	}
	return stderr
}

// wrongTurns are command lines of people who do not know the program, with the sentence that helps.
var wrongTurns = map[string]string{
	"-listen :80":                         "unknown flag -listen; did you mean --listen?",
	"user list -json":                     "unknown flag -json; did you mean --json?",
	"user help":                           "did you mean sesame help user?",
	"usr list --json":                     `unknown command "usr"; did you mean sesame user?`,
	"--docs off usr list":                 `unknown command "usr"; did you mean sesame user?`,
	"usr list":                            `unknown command "usr"; did you mean sesame user?`,
	"users list":                          `did you mean sesame user?`,
	"user crate ann":                      `did you mean sesame user create?`,
	"user add ann":                        `did you mean sesame user create?`,
	"user rm ann":                         `did you mean sesame user delete?`,
	"user passwd a":                       `did you mean sesame user set-password?`,
	"create ann":                          `did you mean sesame user create or sesame client create?`,
	"clients":                             `did you mean sesame client?`,
	"key list":                            `did you mean sesame keys?`,
	"start":                               `did you mean sesame serve?`,
	"version":                             `did you mean sesame --version?`,
	"-v":                                  `did you mean --version?`,
	"qqqq":                                `unknown command "qqqq"; sesame has serve, migrate, `,
	"user qqqq":                           `unknown command "qqqq"; sesame user has create, list, `,
	"help qqqq":                           `unknown command "qqqq"; sesame has serve, `,
	"help user crat":                      `did you mean sesame user create?`,
	"help user list x":                    "sesame user list has no commands of its own",
	"user":                                "user needs a command: create, list, ",
	"client":                              "client needs a command: create, update, secret, list, delete",
	"keys":                                "keys needs a command: list, rotate",
	"user create":                         "user create needs <username>\n  example: sesame user create ann --email ann@example.com\n  see:     sesame user create --help",
	"user grant ann":                      "user grant needs <scope>",
	"user grant":                          "user grant needs <account> and <scope>",
	"completion":                          "completion needs <shell>",
	"user list ann":                       "user list takes no arguments",
	"serve now":                           "serve takes no arguments",
	"user show a b":                       "too many arguments: user show takes only <account>",
	"user create ann --emial x":           "unknown flag --emial; did you mean --email?",
	"user create ann --mail x":            "unknown flag --mail; did you mean --email?",
	"user list --databse-url x":           "did you mean --database-url?",
	"--lisen x":                           "did you mean --listen?",
	"serve --port 80":                     "unknown flag --port",
	"user create ann --password secret":   "a password is read from a prompt or from standard input",
	"user --json list":                    "unknown flag --json; put it after the command: sesame user COMMAND --json",
	"--demo user list":                    "--demo",
	"serve --listen":                      "--listen needs a value: --listen=HOST:PORT",
	"serve --listen --docs off":           "--listen needs a value: --listen=HOST:PORT",
	"user create ann --scope":             "--scope needs a value",
	"user list --q":                       "--q needs a value: --q=TEXT",
	"user list --disabled=maybe":          `unknown value "maybe" for --disabled; give the flag alone, or with true or false`,
	"user import x --format xml":          `unknown value "xml" for --format; it must be auto or jsonl or `,
	"user import x --from rails":          `unknown value "rails" for --from; it must be sesame or fastapi-template`,
	"completion tcsh":                     `unknown value "tcsh" for <shell>; it must be bash or zsh or fish`,
	"user list --contract none.yaml":      "none.yaml, which --contract names",
	"new x --spec none.yaml":              "none.yaml, which --spec names",
	"mock --spec none.yaml":               "none.yaml, which --spec names",
	"user add-token ann --name x":         "missing flags: --scope",
	"user sessions ann --end 1 --end-all": "--end and --end-all can't be used together",
	"keys rotate --revoke":                "--revoke deletes the key that signs; give --now as well",
	"serve --access-token-ttl long":       `--access-token-ttl is "long"; it must be a duration such as 10m or 168h`,
	"serve --listen 8080":                 `--listen is "8080"; it must be HOST:PORT`,
	"config --database-url mysql://x":     "--database-url must be sqlite:FILE or postgres://",
}

// Every wrong turn ends at a sentence that says what to do.
func TestWrongTurnsSayWhatToDo(t *testing.T) {
	t.Parallel()
	for line, reason := range wrongTurns {
		if said := misused(t, nil, strings.Fields(line)...); !strings.Contains(said, reason) {
			t.Errorf("sesame %s\n%swant %s", line, said, reason)
		}
	}
	for _, line := range []string{"user set-password ann db-secret", "user create ann --password db-secret", "user create ann --password=db-secret", "user create ann -pdb-secret", "user set-password ann -p db-secret", "user create ann db-secret"} {
		if said := misused(t, nil, strings.Fields(line)...); strings.Contains(said, "db-secret") {
			t.Errorf("sesame %s repeats a password: %s", line, said)
		}
	}
}

// parser is the parser of the command line, with each command by its name.
func parser(t *testing.T) (p *kong.Kong, leaves map[string]*kong.Node) {
	t.Helper()
	p, err := kong.New(&cli.CommandLine{}, kong.Name("sesame"))
	if err != nil {
		t.Fatal(err)
	}
	leaves = map[string]*kong.Node{}
	for _, leaf := range p.Model.Leaves(true) {
		leaves[leaf.Path()] = leaf
	}
	return p, leaves
}

// Every setting with choices or a form names its place, the flag or the variable, and the choices; and so does every flag of a
// command that has choices.
func TestAWrongValueNamesItsPlaceAndTheChoices(t *testing.T) {
	t.Parallel()
	p, leaves := parser(t)
	checked := 0
	for _, flag := range config.Flags(p) {
		choices := strings.Split(flag.PlaceHolder, "|")
		if strings.Contains(flag.PlaceHolder, ":") { // forms, such as HOST:PORT|unix:PATH
			choices = []string{"HOST:PORT"}
		}
		if strings.Contains(flag.PlaceHolder, "HOST,") { // any name is one of a host
			continue
		}
		if len(choices) == 1 && !slices.Contains([]string{"TIME", "N", "HOST:PORT", "CIDR,…", "ORIGIN,…"}, choices[0]) {
			continue
		}
		checked++
		for variable, place := range map[bool]string{true: config.Variable(flag.Name), false: "--" + flag.Name} {
			e, args := environment{}, []string{"config"}
			if variable {
				e[place] = "nonsense"
			} else {
				args = append(args, place, "nonsense")
			}
			said := misused(t, e, args...)
			if !strings.Contains(said, place+" ") || !variable && strings.Contains(said, config.Variable(flag.Name)) {
				t.Errorf("%v %v does not name %s: %s", e, args, place, said)
			}
			if len(choices) > 1 && !strings.Contains(said, `"nonsense"; it must be `+strings.Join(choices, " or ")) {
				t.Errorf("%s does not name the choices %v: %s", place, choices, said)
			}
		}
	}
	if checked < 15 {
		t.Errorf("only %d settings were checked", checked)
	}
	for name, args := range everyCommand(t) {
		values := leaves[name].Positional
		for _, flag := range leaves[name].Flags {
			values = append(values, flag.Value)
		}
		for _, value := range values {
			if value.Enum == "" {
				continue
			}
			wrong, place := slices.Clone(args), value.ShortSummary()
			if value.Flag != nil {
				wrong = append(wrong, place+"=nonsense")
			} else {
				wrong[len(wrong)-1] = "nonsense"
			}
			want := fmt.Sprintf(`unknown value "nonsense" for %s; it must be %s`, place, strings.Join(value.EnumSlice(), " or "))
			if said := misused(t, nil, wrong...); !strings.Contains(said, want) {
				t.Errorf("want %s: %s", want, said)
			}
		}
	}
}

// The help of a command shows its own flags and arguments, with their defaults, before anything else; the settings are listed by
// serve --help and help settings alone.
func TestHelp(t *testing.T) {
	t.Parallel()
	p, leaves := parser(t)
	settings := config.Flags(p)
	for name, leaf := range leaves {
		words := strings.Fields(name)
		help := succeeds(t, "", environment{"SESAME_NONSENSE": "x"}, append(words, "--help")...) // as it is for a person who has just got it wrong
		if again := succeeds(t, "", nil, append([]string{"help"}, words...)...); again != help {
			t.Errorf("help %s differs from --help:\n%s", name, again)
		}
		own, about, _ := strings.Cut(help, "\nSettings:\n")
		flags := leaf.Flags
		if leaf.Parent.Type == kong.CommandNode {
			flags = append(slices.Clone(flags), leaf.Parent.Flags...)
		}
		for _, flag := range flags {
			if flag.Hidden {
				continue
			}
			if !strings.Contains(own, "--"+flag.Name) && !strings.Contains(own, "--[no-]"+flag.Name) {
				t.Errorf("%s --help does not show --%s first:\n%s", name, flag.Name, help)
			}
			if flag.HasDefault && !flag.IsBool() && !strings.Contains(own, "(default: "+flag.Default+")") {
				t.Errorf("%s --help does not show the default of --%s:\n%s", name, flag.Name, help)
			}
		}
		shown := 0
		for _, setting := range settings {
			if strings.Contains(help, config.Variable(setting.Name)+"\n") {
				shown++
			}
		}
		if want := strings.Count(about, "SESAME_"); name != "serve" && (shown > 5 || shown != want) {
			t.Errorf("%s --help shows %d settings:\n%s", name, shown, help)
		}
		if first, _, _ := strings.Cut(own, "SESAME_"); name == "serve" && !strings.Contains(first, "--demo") {
			t.Errorf("serve --help does not begin with its own flags:\n%s", help)
		}
		if !strings.Contains(help, "\nUsage:\n  sesame "+name) || !strings.Contains(help, "\nExample:\n  ") {
			t.Errorf("%s --help has no usage or no example:\n%s", name, help)
		}
	}
	for _, args := range [][]string{{"serve", "--help"}, {"help", "settings"}} {
		help := succeeds(t, "", nil, args...)
		for _, name := range settingNames() {
			flag := "--" + strings.ToLower(strings.ReplaceAll(strings.TrimPrefix(name, config.Prefix), "_", "-"))
			if strings.Count(help, "  "+flag+"=") != 1 || strings.Count(help, ", "+name+"\n") != 1 {
				t.Errorf("%v does not tell of %s", args, flag)
			}
		}
	}
	all := succeeds(t, "", nil, "--help")
	if all != succeeds(t, "", nil, "help") || strings.Contains(all, "--listen") || !strings.Contains(all, "sesame help settings") {
		t.Errorf("--help prints\n%s", all)
	}
	for name := range leaves {
		if words := strings.Fields(name); !strings.Contains(all, words[len(words)-1]) {
			t.Errorf("--help does not name %s", name)
		}
	}
}

// The examples of the help are command lines that the parser accepts.
func TestTheExamplesOfTheHelpAreValid(t *testing.T) {
	_, leaves := parser(t)
	t.Chdir(t.TempDir()) // nothing is run, but files must exist to be accepted
	if err := os.WriteFile("openapi.yaml", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, leaf := range leaves {
		example := strings.TrimSuffix(strings.TrimPrefix(leaf.Tag.Get("example"), "source <("), ")")
		words := strings.Fields(example)
		if len(words) == 0 || words[0] != "sesame" {
			t.Errorf("%s has the example %q", name, example)
			continue
		}
		p, _ := parser(t)
		command, err := p.Parse(words[1:])
		if err != nil || command.Selected().Path() != name {
			t.Errorf("%s: %v", example, err)
		}
	}
}

func TestVersion(t *testing.T) {
	t.Parallel()
	said := succeeds(t, "", environment{"SESAME_NONSENSE": "x"}, "--version")
	if !regexp.MustCompile(`^sesame( v\S+)?, (commit [0-9a-f]{12} of \d{4}-\d\d-\d\d( with changes)?|unknown commit), go1\.\S+\n$`).MatchString(said) {
		t.Errorf("--version prints %q", said)
	}
}
