package tracing

import (
	"context"
	"strings"
	"sync"
	"sync/atomic"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"
)

// The databases, as the semantic conventions name them.
const (
	PostgreSQL = "postgresql"
	SQLite     = "sqlite"
)

// Statement is Start for a statement that a database runs. The span has the operations and the tables of the statement, as in
// "INSERT sessions SELECT users", and neither its text nor its arguments: a program that mounts the server may write values into a
// text.
func Statement(ctx context.Context, database, statement string) (context.Context, Span) {
	parent := trace.SpanFromContext(ctx)
	if !parent.SpanContext().IsSampled() {
		return ctx, Span{}
	}
	name := summaries.of(statement)
	operation, _, _ := strings.Cut(name, " ")
	return startStatement(ctx, parent, database, name, operation)
}

// Batch is Statement for several that are sent at once.
func Batch(ctx context.Context, database string, statements []string) (context.Context, Span) {
	parent := trace.SpanFromContext(ctx)
	if !parent.SpanContext().IsSampled() {
		return ctx, Span{}
	}
	var names []string
	for _, statement := range statements[:min(len(statements), maxWords)] {
		names = append(names, summaries.of(statement))
	}
	ctx, span := startStatement(ctx, parent, database, cut(strings.Join(names, "; ")), "BATCH")
	span.SetNumber("db.operation.batch.size", len(statements))
	return ctx, span
}

func startStatement(ctx context.Context, parent trace.Span, database, name, operation string) (context.Context, Span) {
	if name == "" { // as the semantic conventions have it
		name = database
	}
	ctx, span := start(ctx, parent, name, trace.SpanKindClient)
	span.span.SetAttributes(attribute.String("db.system.name", database), attribute.String("db.query.summary", name), attribute.String("db.operation.name", operation))
	return ctx, span
}

// Traced reports whether a span begun with ctx would be sampled.
func Traced(ctx context.Context) bool { return trace.SpanContextFromContext(ctx).IsSampled() }

const (
	// maxSummary is the longest summary that the semantic conventions allow.
	maxSummary = 255
	maxWords   = 64
	// maxSummaries bounds the cache. The statements of the server are constants, but those of programs that mount it may not be.
	maxSummaries = 1000
	maxCached    = 8 << 10
)

func cut(s string) string { return s[:min(len(s), maxSummary)] } // only ASCII is in it

// cache keeps summaries by the text of the statement.
type cache struct {
	texts sync.Map
	size  atomic.Int64
}

var summaries cache

func (c *cache) of(statement string) string {
	if known, ok := c.texts.Load(statement); ok {
		return known.(string)
	}
	s := summary(statement)
	if len(statement) <= maxCached && c.size.Load() < maxSummaries {
		if _, known := c.texts.LoadOrStore(statement, s); !known {
			c.size.Add(1)
		}
	}
	return s
}

// The words that a summary has besides tables.
var (
	operations = map[string]bool{"SELECT": true, "INSERT": true, "UPDATE": true, "DELETE": true}
	// firstWords are operations at the beginning of a statement alone.
	firstWords = map[string]bool{
		"BEGIN": true, "COMMIT": true, "ROLLBACK": true, "SAVEPOINT": true, "RELEASE": true, "CREATE": true, "ALTER": true, "DROP": true,
		"SET": true, "SHOW": true, "PRAGMA": true, "LOCK": true,
	}
	// beforeTable are the words that are followed by a table or by a subquery.
	beforeTable = map[string]bool{"FROM": true, "INTO": true, "JOIN": true, "UPDATE": true}
	// beforeUpdate are the words after which UPDATE is no operation: ON CONFLICT DO UPDATE, FOR UPDATE, FOR NO KEY UPDATE.
	beforeUpdate = map[string]bool{"DO": true, "FOR": true, "KEY": true}
)

// summary returns the operations of a statement and the tables that they are about. Only known words, and names that follow
// them, are in it: no literal, comment or quoted name.
func summary(statement string) string {
	var words []string
	add := func(word string) { // once, if it would follow itself
		if len(words) == 0 || words[len(words)-1] != word {
			words = append(words, word)
		}
	}
	previous, first := "", true
	for word := range tokens(statement) {
		upper := strings.ToUpper(word)
		switch {
		case upper == "UPDATE" && beforeUpdate[previous]:
			upper = ""
		case operations[upper] || first && firstWords[upper]:
			add(upper)
		case upper == "ONLY": // of PostgreSQL, before a table
			upper = previous
		case beforeTable[previous] && word[0] >= 'A' && len(words) > 0:
			add(word)
		}
		if previous, first = upper, false; len(words) >= maxWords {
			break
		}
	}
	return cut(strings.Join(words, " "))
}

// tokens yields the words of a statement, and a space for each other character. Literals, quoted names and comments are one space
// each. It ends at a dollar quote, and at a literal with a backslash, which may be an escape: it could not tell where they end.
func tokens(s string) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		for i := 0; i < len(s); {
			end := i + 1
			switch c := s[i]; {
			case c == '\'' || c == '"' || c == '`':
				if end = skip(s, i+1, string(c)); strings.Contains(s[i:end], `\`) {
					return
				}
			case strings.HasPrefix(s[i:], "--"):
				end = skip(s, i, "\n")
			case strings.HasPrefix(s[i:], "/*"):
				end = skip(s, i+2, "*/")
			case c == '$' && (i+1 == len(s) || s[i+1] < '0' || s[i+1] > '9'):
				return
			case isWord(c):
				for end < len(s) && isWord(s[end]) {
					end++
				}
				if !yield(s[i:end]) {
					return
				}
				i = end
				continue
			case c == ' ' || c == '\n' || c == '\t' || c == '\r':
				i = end
				continue
			}
			if !yield(" ") {
				return
			}
			i = end
		}
	}
}

// skip returns the index after the next mark.
func skip(s string, from int, mark string) int {
	if i := strings.Index(s[min(from, len(s)):], mark); i >= 0 {
		return from + i + len(mark)
	}
	return len(s)
}

func isWord(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '.'
}
