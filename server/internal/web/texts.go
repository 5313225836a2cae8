package web

import (
	"embed"
	"errors"
	"fmt"
	"html/template"
	"io/fs"
	"maps"
	"net/http"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
	"golang.org/x/text/language"

	"sesame/server/internal/names"
)

//go:embed messages
var embeddedMessages embed.FS

// fallback is the language of texts that a file of another language lacks, and of people whose languages have no file.
const fallback = "en"

// texts are the texts of the pages in one language: a file LANGUAGE.yaml.
type texts struct {
	tag string
	// Texts are named by what they are for. {name} is the place of a parameter.
	Texts map[string]string `yaml:"texts"`
	// Sentences translate what the contract and the rules say in English. {n} is the place of a number.
	Sentences map[string]string `yaml:"sentences"`
}

// Lang is the language as HTML names it (BCP 47).
func (t *texts) Lang() string { return t.tag }

// T returns a text as plain text. args are names and values of its parameters.
func (t *texts) T(key string, args ...string) string {
	return fill(t.Texts[key], args, func(value string) string { return names.Visible(value) })
}

// H returns a text as HTML. It isolates the values of parameters, since a name may be written from right to left.
func (t *texts) H(key string, args ...string) template.HTML {
	text := fill(template.HTMLEscapeString(t.Texts[key]), args, func(value string) string {
		return "<bdi>" + template.HTMLEscapeString(names.Visible(value)) + "</bdi>"
	})
	return template.HTML(text) //nolint:gosec // every part is escaped
}

// fill fills in parameters in one pass, so that no value is taken for a parameter.
func fill(text string, args []string, shown func(string) string) string {
	pairs := make([]string, 0, len(args))
	for i := 0; i+1 < len(args); i += 2 {
		pairs = append(pairs, "{"+args[i]+"}", shown(args[i+1]))
	}
	return strings.NewReplacer(pairs...).Replace(text)
}

var digits = regexp.MustCompile(`\d+`)

// Sentence translates a sentence of the contract or of the rules. One that has no translation stays in English.
func (t *texts) Sentence(english string) string {
	if translated, ok := t.Sentences[english]; ok {
		return translated
	}
	numbers := digits.FindAllString(english, -1)
	translated, ok := t.Sentences[digits.ReplaceAllString(english, "{n}")]
	if !ok {
		return english
	}
	for _, n := range numbers {
		translated = strings.Replace(translated, "{n}", n, 1)
	}
	return translated
}

// Time formats a time.
func (t *texts) Time(at time.Time) string { return at.UTC().Format(t.Texts["time"]) }

// parameters are the places of parameters in a text.
var parameters = regexp.MustCompile(`\{[a-z]+\}`)

// languages are the texts in every language, and what chooses one.
type languages struct {
	all     []*texts // the fallback first
	matcher language.Matcher
}

// newLanguages reads the built-in files and, unless it is nil, those of a folder. A file of the folder may have some of the
// texts, or add a language.
func newLanguages(folder fs.FS) (*languages, error) {
	builtIn, err := fs.Sub(embeddedMessages, "messages")
	if err != nil {
		return nil, err
	}
	byTag := map[string]*texts{}
	err = readTexts(builtIn, byTag)
	if folder != nil && err == nil {
		err = readTexts(folder, byTag)
	}
	if err != nil {
		return nil, err
	}
	l := &languages{}
	var tags []language.Tag
	for _, name := range slices.SortedFunc(maps.Keys(byTag), fallbackFirst) {
		t := byTag[name]
		for key, text := range byTag[fallback].Texts {
			if t.Texts[key] == "" {
				t.Texts[key] = text
			}
		}
		l.all, tags = append(l.all, t), append(tags, language.Make(name))
	}
	l.matcher = language.NewMatcher(tags)
	return l, nil
}

func fallbackFirst(a, b string) int {
	switch {
	case a == b:
		return 0
	case a == fallback:
		return -1
	case b == fallback:
		return 1
	}
	return strings.Compare(a, b)
}

// readTexts adds the texts of a folder. The error lists everything that is wrong with its files.
func readTexts(folder fs.FS, byTag map[string]*texts) error {
	files, err := fs.Glob(folder, "*.yaml")
	if err != nil {
		return err
	}
	slices.SortFunc(files, func(a, b string) int {
		return fallbackFirst(strings.TrimSuffix(a, ".yaml"), strings.TrimSuffix(b, ".yaml"))
	})
	var faults []error
	for _, name := range files {
		t, err := readFile(folder, name)
		if err != nil {
			faults = append(faults, fmt.Errorf("%s: %w", name, err))
			continue
		}
		if english := byTag[fallback]; english != nil {
			for _, key := range slices.Sorted(maps.Keys(t.Texts)) {
				if known, ok := english.Texts[key]; !ok {
					faults = append(faults, fmt.Errorf("%s: no page has the text %q", name, key))
				} else if !slices.Equal(placesOf(known), placesOf(t.Texts[key])) {
					faults = append(faults, fmt.Errorf("%s: the text %q must have the parameters %v", name, key, placesOf(known)))
				}
			}
		}
		before := byTag[t.tag]
		if before == nil {
			byTag[t.tag] = t
			continue
		}
		maps.Copy(before.Texts, t.Texts)
		maps.Copy(before.Sentences, t.Sentences)
	}
	return errors.Join(faults...)
}

func placesOf(text string) []string {
	return slices.Compact(slices.Sorted(slices.Values(parameters.FindAllString(text, -1))))
}

func readFile(folder fs.FS, name string) (*texts, error) {
	tag := strings.TrimSuffix(path.Base(name), ".yaml")
	if parsed, err := language.Parse(tag); err != nil || parsed.String() != tag {
		return nil, errors.New("is not named by a language, such as fr.yaml or pt-BR.yaml")
	}
	content, err := fs.ReadFile(folder, name)
	if err != nil {
		return nil, err
	}
	t := &texts{tag: tag, Texts: map[string]string{}, Sentences: map[string]string{}}
	decoder := yaml.NewDecoder(strings.NewReader(string(content)))
	decoder.KnownFields(true)
	return t, decoder.Decode(t)
}

// maxLanguages bounds what is read of a list of languages, in bytes.
const maxLanguages = 500

// choose returns the texts for a person: in the languages that an authorization request names (ui_locales, OpenID Connect
// Core §3.1.2.1), or else those of the browser. r may be nil.
func (l *languages) choose(uiLocales string, r *http.Request) *texts {
	var wanted []language.Tag
	for _, name := range strings.Fields(uiLocales[:min(len(uiLocales), maxLanguages)]) {
		if tag, err := language.Parse(name); err == nil {
			wanted = append(wanted, tag)
		}
	}
	if r != nil {
		header := r.Header.Get("Accept-Language")
		if accepted, _, err := language.ParseAcceptLanguage(header[:min(len(header), maxLanguages)]); err == nil {
			wanted = append(wanted, accepted...)
		}
	}
	_, index, _ := l.matcher.Match(wanted...) // the first one where none fits
	return l.all[index]
}
