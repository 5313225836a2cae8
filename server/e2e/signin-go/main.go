// This web application signs people in with go-oidc and golang.org/x/oauth2. It remembers one browser.
package main

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"net/url"
	"os"
	"time"
)

var (
	app     = os.Getenv("APP")
	c       *client
	waiting pending
	who     person
)

// page serves a function that returns a text or an address.
func page(path string, answer func(r *http.Request) (string, error)) {
	http.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
		text, err := answer(r)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
		} else if address, err := url.Parse(text); err == nil && address.IsAbs() {
			http.Redirect(w, r, text, http.StatusSeeOther)
		} else {
			fmt.Fprint(w, text)
		}
	})
}

func home(*http.Request) (string, error) {
	if who.Username == "" {
		return app + "/sign-in", nil
	}
	return "Hello " + who.Username, nil
}

// refresh lets the library believe that the access token is expired.
func refresh(r *http.Request) (string, error) {
	before, err := who.tokens.Token()
	if err != nil {
		return "", err
	}
	expired := *before
	expired.Expiry = time.Unix(1, 0)
	who.tokens = c.TokenSource(context.WithoutCancel(r.Context()), &expired)
	after, err := who.tokens.Token()
	if err == nil && after.RefreshToken == before.RefreshToken {
		err = fmt.Errorf("the library did not refresh")
	}
	return app, err
}

func main() {
	var err error
	if c, err = newClient(context.Background(), os.Getenv("ISSUER"), os.Getenv("CLIENT_ID"), os.Getenv("CLIENT_SECRET"), app); err != nil {
		log.Fatal(err)
	}
	page("/{$}", home)
	page("/sign-in", func(*http.Request) (address string, err error) {
		waiting, address = c.begin()
		return address, nil
	})
	page("/callback", func(r *http.Request) (_ string, err error) {
		who, err = c.finish(r.Context(), waiting, r.URL.Query())
		return app, err
	})
	page("/refresh", refresh)
	page("/sign-out", func(*http.Request) (string, error) {
		address, err := c.signOut(who, app)
		who = person{}
		return address, err
	})
	page("/bye", func(*http.Request) (string, error) { return "Bye", nil })
	address, _ := url.Parse(app)
	log.Fatal(http.ListenAndServe(address.Host, nil))
}
