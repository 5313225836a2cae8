package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"sesame/server/internal/app"
	"sesame/server/internal/problem"
	"sesame/server/internal/webhook"
	"sesame/server/secret"
)

type webhookAddCommand struct {
	URL         string   `arg:"" help:"Where the server sends the events, such as https://shop.example/hooks."`
	Kind        []string `help:"A kind of event to send, such as login; may be repeated. (default: every kind)"`
	Description string   `help:"What it is for."`
	Disabled    bool     `help:"Send nothing until it is enabled."`
	JSON        bool     `help:"Print the webhook as JSON."`
}

// Run adds a webhook and prints its secret, which is not shown again.
func (c *webhookAddCommand) Run(p *program) error {
	return p.withService(func(s *app.Services) error {
		w, made, err := s.Webhooks.Create(p.ctx, nil, webhook.NewWebhook{URL: c.URL, Description: c.Description, Kinds: c.Kind, Disabled: c.Disabled})
		if err != nil {
			return explainAt(err, webhookPlaces(fmt.Sprintf("<url> %q", c.URL)))
		}
		return p.printWebhookSecret(w, made, c.JSON)
	})
}

// webhookPlaces says by which arguments the fields of a webhook are given.
func webhookPlaces(url string) map[string]string {
	return map[string]string{"url": url, "kinds": "--kind", "description": "--description"}
}

// printWebhookSecret prints a webhook with its new secret.
func (p *program) printWebhookSecret(w webhook.Webhook, made secret.Text, asJSON bool) error {
	shown := webhookObject(w)
	shown["secret"] = made.Reveal()
	lines := append(webhookLines(w), [2]string{"secret", made.Reveal()})
	if err := p.printOne(asJSON, shown, lines...); err != nil || asJSON {
		return err
	}
	_, err := fmt.Fprintln(p.Stdout, "\nCopy the secret now: it cannot be shown again.")
	return err
}

// webhookLines are a webhook as a person reads it.
func webhookLines(w webhook.Webhook) [][2]string {
	return [][2]string{
		{"id", w.ID},
		{"url", w.URL},
		{"description", w.Description},
		{"kinds", kindsOf(w)},
		{"state", stateOf(w)},
		{"old_secret_until", moment(orNoTime(w.OldSecretUntil))},
		{"failing_since", moment(orNoTime(w.FailingSince))},
		{"full_since", moment(orNoTime(w.FullSince))},
	}
}

func kindsOf(w webhook.Webhook) string {
	if len(w.Kinds) == 0 {
		return "all"
	}
	return strings.Join(w.Kinds, " ")
}

func stateOf(w webhook.Webhook) string {
	return map[bool]string{true: "disabled", false: "enabled"}[w.Disabled]
}

// orNoTime is nil for the zero time.
func orNoTime(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

// webhookObject is a webhook as JSON, with the field names of the contract, without its secret.
func webhookObject(w webhook.Webhook) map[string]any {
	return map[string]any{
		"id": w.ID, "url": w.URL, "description": w.Description, "kinds": listOf(w.Kinds), "disabled": w.Disabled, "old_secret_until": orNoTime(w.OldSecretUntil),
		"failing_since": orNoTime(w.FailingSince), "full_since": orNoTime(w.FullSince), "created_at": w.CreatedAt,
	}
}

// webhookFault explains the error of a command on a webhook.
func webhookFault(id string, err error) error {
	if e, ok := errors.AsType[*problem.Error](err); ok && e.Code == problem.NotFound {
		return fmt.Errorf("unknown webhook %q; list them with: sesame webhook list", id)
	}
	return explainAt(err, webhookPlaces("--url"))
}

type webhookUpdateCommand struct {
	ID          string   `arg:"" help:"The id of the webhook."`
	URL         *string  `name:"url" help:"Another address, for the deliveries that wait, too."`
	Kind        []string `help:"The kinds of events to send, in place of those before; may be repeated. all is every kind."`
	Description *string  `help:"What it is for."`
	Disabled    *bool    `negatable:"" help:"Whether it sends nothing."`
	JSON        bool     `help:"Print the webhook as JSON."`
}

// Run changes a webhook.
func (c *webhookUpdateCommand) Run(p *program) error {
	change := webhook.Change{URL: c.URL, Description: c.Description, Kinds: c.Kind, Disabled: c.Disabled}
	if len(c.Kind) == 1 && c.Kind[0] == "all" {
		change.Kinds = []string{}
	}
	return p.withService(func(s *app.Services) error {
		w, err := s.Webhooks.Update(p.ctx, nil, strings.ToLower(c.ID), change)
		if err != nil {
			return webhookFault(c.ID, err)
		}
		return p.printOne(c.JSON, webhookObject(w), webhookLines(w)...)
	})
}

type webhookSecretCommand struct {
	ID         string        `arg:"" help:"The id of the webhook."`
	KeepOldFor time.Duration `default:"24h" help:"How long the old one signs, too, so that the receiver can change over; at most 168h. 0s after a leak."`
	JSON       bool          `help:"Print the webhook as JSON."`
}

// Run replaces the secret of a webhook and prints the new one, which is not shown again.
func (c *webhookSecretCommand) Run(p *program) error {
	if c.KeepOldFor < 0 || c.KeepOldFor > webhook.MaxOverlap {
		return usagef("--keep-old-for is from 0s to %s\nexample: sesame webhook secret ID --keep-old-for 24h", webhook.MaxOverlap)
	}
	return p.withService(func(s *app.Services) error {
		w, made, err := s.Webhooks.ReplaceSecret(p.ctx, nil, strings.ToLower(c.ID), c.KeepOldFor)
		if err != nil {
			return webhookFault(c.ID, err)
		}
		return p.printWebhookSecret(w, made, c.JSON)
	})
}

type webhookShowCommand struct {
	ID   string `arg:"" help:"The id of the webhook."`
	JSON bool   `help:"Print JSON."`
}

// Run shows a webhook.
func (c *webhookShowCommand) Run(p *program) error {
	return p.withService(func(s *app.Services) error {
		w, err := s.Webhooks.Webhook(p.ctx, strings.ToLower(c.ID))
		if err != nil {
			return webhookFault(c.ID, err)
		}
		return p.printOne(c.JSON, webhookObject(w), webhookLines(w)...)
	})
}

type webhookListCommand struct {
	JSON bool `help:"Print JSON."`
}

// Run lists the webhooks.
func (c *webhookListCommand) Run(p *program) error {
	return p.withService(func(s *app.Services) error {
		all, _, err := s.Webhooks.List(p.ctx, "", 100)
		if err != nil {
			return err
		}
		list := p.newListing(c.JSON, "ID", "URL", "DESCRIPTION", "KINDS", "STATE", "FAILING SINCE", "CREATED AT")
		for _, w := range all {
			err = list.add(webhookObject(w), w.ID, w.URL, w.Description, kindsOf(w), stateOf(w), moment(orNoTime(w.FailingSince)), moment(&w.CreatedAt))
			if err != nil {
				return err
			}
		}
		return list.end("")
	})
}

type webhookRemoveCommand struct {
	ID   string `arg:"" help:"The id of the webhook."`
	JSON bool   `help:"Print JSON."`
}

// Run removes a webhook.
func (c *webhookRemoveCommand) Run(p *program) error {
	return p.withService(func(s *app.Services) error {
		if err := s.Webhooks.Delete(p.ctx, nil, strings.ToLower(c.ID)); err != nil {
			return webhookFault(c.ID, err)
		}
		if c.JSON {
			return json.NewEncoder(p.Stdout).Encode(map[string]any{"id": strings.ToLower(c.ID), "deleted": true})
		}
		_, err := fmt.Fprintf(p.Stdout, "Removed the webhook %s and its deliveries.\n", strings.ToLower(c.ID))
		return err
	})
}
