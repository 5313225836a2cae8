package contract

import (
	"net/http/httptest"
	"net/url"
	"testing"
)

// N1: what follows gets one spelling of a path, wherever it reads it, and the rest of the request as it is.
func TestAPlainRequest(t *testing.T) {
	for target, want := range map[string][2]string{ // the path, and how it is written
		"/users/%6de?a=%6d&b":       {"/users/me", "/users/me?a=%6d&b"},
		"/users/me?a":               {"/users/me", "/users/me?a"},
		"/gr%c3%b6%C3%9fe":          {"/größe", "/gr%C3%B6%C3%9Fe"},
		"/Products('1')":            {"/Products('1')", "/Products%28%271%27%29"},
		"/a%2541":                   {"/a%41", "/a%2541"},
		"http://x.example/%61?":     {"/a", "http://x.example/a?"},
		"/a%2fb":                    {"/a/b", "/a%2fb"}, // refused, so left as it is
		"/a/%2e%2e/b":               {"/a/../b", "/a/%2e%2e/b"},
		"/ö%2fb":                    {"/ö/b", "/ö%2fb"},
		"/%61/%ff":                  {"/a/\xff", "/%61/%ff"},
		"/%61/":                     {"/a/", "/a/"},
		"/%61?access_token=%2e%2e/": {"/a", "/a?access_token=%2e%2e/"},
	} {
		r := httptest.NewRequest("GET", target, nil)
		plain := Plain(r)
		if got := [2]string{plain.URL.Path, plain.RequestURI}; got != want {
			t.Errorf("%s becomes %q, want %q", target, got, want)
		}
		if r.RequestURI != target {
			t.Errorf("%s: the request itself was changed", target)
		}
	}
	stripped := httptest.NewRequest("GET", "/v1/%6de?a", nil) // as http.StripPrefix leaves it
	stripped.URL = &url.URL{Path: "/me", RawPath: "/%6de", RawQuery: "a"}
	if plain := Plain(stripped); plain.RequestURI != "/v1/me?a" || plain.URL.EscapedPath() != "/me" {
		t.Errorf("behind http.StripPrefix: %q and %q", plain.RequestURI, plain.URL.EscapedPath())
	}
	odd := httptest.NewRequest("GET", "/a", nil) // no server makes such a URL, but some middleware might
	odd.URL = &url.URL{Path: "/a", RawPath: "/b"}
	if _, ok := readPath(odd.URL); ok {
		t.Error("a URL with two different paths is read")
	}
}
