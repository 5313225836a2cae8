package apitest

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"sesame/gen/api"
	"sesame/server/internal/store"
	"sesame/server/secret"
)

// entry is an account of a list. Its username says what it is.
type entry struct {
	name     string
	created  int // minutes after the first one
	disabled bool
	verified bool
	scopes   string
	factors  string
}

func (c *seeder) list(t *testing.T, begin time.Time, l entry) {
	t.Helper()
	at := begin.Add(time.Duration(l.created) * time.Minute)
	err := c.db.CreateUser(t.Context(), store.User{
		ID: newID(), Username: l.name, UsernameKey: l.name, Email: "x" + l.name + "@example.com", EmailKey: "x" + l.name + "@example.com", EmailVerified: l.verified,
		PasswordHash: secret.New(c.hash), Disabled: l.disabled, Scopes: l.scopes, CreatedAt: at, UpdatedAt: at,
	})
	if err != nil {
		t.Fatal(err)
	}
	if l.factors != "" {
		c.s.sql(t, `UPDATE users SET factors = '`+l.factors+`' WHERE username = '`+l.name+`'`)
	}
}

// Every order and every combination of filters gives what a scan of all accounts gives, page by page, and the number of it.
func TestAccountsAreSortedAndFiltered(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		c := newSeeder(t, s)
		_, token := s.administrator(t, "root")
		s.sql(t, `DELETE FROM users WHERE username = 'model'`)
		begin := time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)
		var all []entry
		for i := range 64 { // each combination of the four filters, four times
			l := entry{
				name: fmt.Sprintf("n%02d", i*37%64), created: i / 3, disabled: i&1 != 0, verified: i&2 != 0,
				scopes: map[bool]string{true: "users:read users:write"}[i&4 != 0], factors: map[bool]string{true: "totp"}[i&8 != 0],
			}
			c.list(t, begin, l)
			all = append(all, l)
		}
		is := func(query url.Values, name string, truth bool) bool {
			return !query.Has(name) || query.Get(name) == fmt.Sprint(truth)
		}
		for _, text := range []string{
			"", "disabled=true", "disabled=false", "email_verified=true", "email_verified=false", "second_factor=true", "second_factor=false",
			"scope=users:write", "scope=clients:read", "scope=me:read", "disabled=true&scope=users:read", "disabled=true&second_factor=true", "disabled=false&second_factor=true",
			"email_verified=true&second_factor=false&disabled=false&scope=users:read",
		} {
			for _, sort := range []string{"", "username", "-username", "created_at", "-created_at"} {
				for _, created := range [][2]string{{}, {"5"}, {"", "9"}, {"5", "9"}, {"9", "5"}} {
					query, _ := url.ParseQuery(text)
					query.Set("sort", sort)
					if sort == "" {
						query.Del("sort")
					}
					from, before := -1, 1000
					for i, name := range []string{"created_after", "created_before"} {
						if created[i] != "" {
							minute := int(created[i][0] - '0')
							query.Set(name, begin.Add(time.Duration(minute)*time.Minute).Format(time.RFC3339))
							*[]*int{&from, &before}[i] = minute
						}
					}
					var want []string
					ordered := slices.SortedStableFunc(slices.Values(all), func(a, b entry) int {
						if strings.HasSuffix(sort, "created_at") {
							return a.created - b.created
						}
						return strings.Compare(a.name, b.name)
					})
					for _, l := range ordered {
						scope := query.Get("scope")
						if is(query, "disabled", l.disabled) && is(query, "email_verified", l.verified) && is(query, "second_factor", l.factors != "") &&
							(scope == "" || scope == "me:read" || strings.Contains(l.scopes, scope)) && l.created >= from && l.created < before {
							want = append(want, l.name)
						}
					}
					if strings.HasPrefix(sort, "-") {
						slices.Reverse(want)
					}
					query.Set("limit", "7")
					if !query.Has("created_before") {
						query.Set("created_before", begin.AddDate(1, 0, 0).Format(time.RFC3339)) // without root
					}
					names := s.list(t, token, query.Encode(), nil)
					if !slices.Equal(names, want) {
						t.Errorf("%s gives %v, want %v", query.Encode(), names, want)
					}
					query.Set("total", "true")
					page := decode[api.UserPage](s.do(t, request{method: "GET", path: "/users?" + query.Encode(), token: token}).want(200))
					if page.Total == nil || int(*page.Total) != len(want) || !*page.TotalIsExact {
						t.Errorf("%s has %v accounts, want %d", query.Encode(), page.Total, len(want))
					}
				}
			}
		}
	})
}

// Accounts that were created at the same microsecond are each listed once.
func TestAccountsOfOneMoment(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		c := newSeeder(t, s)
		_, token := s.administrator(t, "root")
		begin := time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)
		for i := range 20 {
			c.list(t, begin, entry{name: fmt.Sprintf("n%02d", i)})
		}
		for _, sort := range []string{"created_at", "-created_at"} {
			names := s.list(t, token, "limit=3&created_before=2021-01-01T00:00:00Z&sort="+sort, nil)
			slices.Sort(names)
			if len(slices.Compact(names)) != 20 {
				t.Errorf("%s lists %v", sort, names)
			}
		}
	})
}

// A prefix goes with both orders of usernames, and with filters. What cannot be combined is refused.
func TestAccountsArePickedByPrefixAndFilter(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		c := newSeeder(t, s)
		_, token := s.administrator(t, "root")
		begin := time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)
		for i, name := range []string{"xa", "xb", "a", "b", "c"} { // the addresses are xxa@, xxb@, xa@, xb@ and xc@
			c.list(t, begin, entry{name: name, disabled: i%2 == 0, verified: i > 2})
		}
		for query, want := range map[string]string{
			"q=x": "xa xb a b c", "q=x&sort=-username": "xb xa c b a", "q=x&limit=1": "xa xb a b c", "q=x&limit=2&sort=-username": "xb xa c b a",
			"q=x&disabled=true": "xa a c", "q=x&disabled=false": "xb b", "q=x&email_verified=true": "b c", "q=xb": "xb b",
			"q=x&disabled=true&email_verified=true&sort=-username": "c",
		} {
			if got := strings.Join(s.list(t, token, query, nil), " "); got != want {
				t.Errorf("%q gives %s, want %s", query, got, want)
			}
			page := decode[api.UserPage](s.do(t, request{method: "GET", path: "/users?total=true&" + query, token: token}).want(200))
			if n := len(strings.Fields(want)); page.Total == nil || int(*page.Total) != n || !*page.TotalIsExact {
				t.Errorf("%q has %v accounts, want %d", query, page.Total, n)
			}
		}
		for query, pointer := range map[string]string{
			"q=x&sort=created_at": "/sort", "sort=email": "/sort", "scope=root": "/scope", "created_after=yesterday": "/created_after", "second_factor=x": "/second_factor",
		} {
			s.do(t, request{method: "GET", path: "/users?" + query, token: token}).want(422, "validation_failed").pointsAt(pointer)
		}
		cursor := decode[api.UserPage](s.do(t, request{method: "GET", path: "/users?limit=1", token: token}).want(200)).NextCursor.MustGet()
		s.do(t, request{method: "GET", path: "/users?limit=1&sort=username&total=true&cursor=" + cursor, token: token}).want(200)
		for _, query := range []string{"sort=-username", "sort=created_at", "scope=users:read", "email_verified=true", "second_factor=true", "created_after=2020-01-01T00:00:00Z", "created_before=2020-01-01T00:00:00Z"} {
			s.do(t, request{method: "GET", path: "/users?cursor=" + cursor + "&" + query, token: token}).want(400, "bad_request")
		}
	})
}

// A page looks at a bounded number of accounts, whatever the filters are: the list goes on where it stopped.
func TestAFilterThatMatchesFewScansInSteps(t *testing.T) {
	onEachEngine(t, func(t *testing.T, s *server) {
		_, token := s.administrator(t, "root")
		s.sql(t, `INSERT INTO users (id, username, username_key, email, email_key, email_verified, scopes, disabled, created_at, updated_at)
			WITH RECURSIVE n(i) AS (SELECT 100001 UNION ALL SELECT i + 1 FROM n WHERE i < 112500)
			SELECT '019ad827-9c2f-7000-8000-000000' || i, 'n' || i, 'n' || i, 'n' || i || '@example.com', 'n' || i || '@example.com', i = 107777, '', FALSE, i, i FROM n`)
		for query, want := range map[string]int{
			"email_verified=true": 7, "email_verified=true&sort=-username": 7, "email_verified=true&sort=-created_at": 7, "email_verified=true&sort=created_at": 7,
			"email_verified=true&q=n": 13, "email_verified=true&disabled=true": 1, "email_verified=true&scope=users:read": 1, "created_after=2019-01-01T00:00:00Z&sort=created_at": 1,
		} {
			pages := 1
			names := s.list(t, token, query, func() { pages++ })
			if found := slices.Contains(names, "n107777"); found != (want > 1) || len(names) > 1 && found || pages < want || pages > want+1 {
				t.Errorf("%s finds %v on %d pages, want about %d", query, names, pages, want)
			}
		}
		for query, want := range map[string]string{
			"": "10000 false", "sort=-created_at": "10000 false", "q=n": "10000 false", "q=n1125": "1 true", "q=n&email_verified=true": "0 false", "q=n10": "9999 false", "email_verified=true": "1 false", "disabled=true": "0 true",
			"scope=users:write": "1 true",
		} {
			page := decode[api.UserPage](s.do(t, request{method: "GET", path: "/users?total=true&limit=1&" + query, token: token}).want(200))
			if got := fmt.Sprint(*page.Total, *page.TotalIsExact); got != want {
				t.Errorf("%q has %s accounts, want %s", query, got, want)
			}
		}
	})
}
