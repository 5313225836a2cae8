package bootstrap

import (
	"context"
	"log/slog"

	"go.yaml.in/yaml/v3"

	"sesame/server/internal/upstream"
	"sesame/server/secret"
)

type provider struct {
	line, secretLine              int
	name, label, issuer, clientID string
	github, links, update         bool
	scopes                        []string
	secretFile                    string // absolute, or ""
}

func (r *reader) provider(node *yaml.Node) {
	const what = "an entry of providers"
	m := r.mapping(node, what, "name", "label", "issuer", "github", "client_id", "secret_file", "scopes", "link_verified_addresses", "update")
	p := provider{
		line: node.Line, secretLine: node.Line, name: r.required(node, m, what, "name", ""), label: r.text(m, "label"), issuer: r.text(m, "issuer"),
		clientID: r.required(node, m, what, "client_id", ", which the provider has given this server"), github: r.isTrue(m, "github"),
		links: r.isTrue(m, "link_verified_addresses"), update: r.isTrue(m, "update"), scopes: r.texts(m, "scopes"),
	}
	if file := r.text(m, "secret_file"); file != "" {
		p.secretFile, p.secretLine = r.path(file), m["secret_file"].Line
	}
	if p.issuer == "" && !p.github && node.Kind == yaml.MappingNode {
		r.fault(node.Line, "%s has no issuer; add it, or github: true", what)
	}
	r.providers = append(r.providers, p)
}

func (f *File) declaredProvider(p provider) upstream.DeclaredProvider {
	d := upstream.DeclaredProvider{Update: p.update, NewProvider: upstream.NewProvider{
		Name: p.name, Kind: upstream.OpenID, Label: p.label, Issuer: p.issuer, ClientID: p.clientID, Scopes: p.scopes, LinkAddresses: p.links,
	}}
	if p.github {
		d.Kind = upstream.GitHub
	}
	if p.secretFile != "" {
		d.ReadSecret = func() (secret.Text, error) {
			text, err := ReadSecret(p.secretFile)
			return text, f.wrapFile(p.secretLine, "secret_file", err)
		}
	}
	return d
}

// checkProviders returns what is wrong with the entries, as far as that needs neither the database nor the files of secrets.
func (f *File) checkProviders(providers *upstream.Service) (faults []error) {
	for _, p := range f.providers {
		if err := providers.CheckDeclared(f.declaredProvider(p)); err != nil {
			faults = append(faults, f.at(p.line, "%w", err))
		}
	}
	return faults
}

func (f *File) applyProviders(ctx context.Context, providers *upstream.Service, log *slog.Logger) (faults []error) {
	for _, p := range f.providers {
		created, updated, err := providers.Declare(ctx, f.declaredProvider(p))
		if err != nil {
			faults = append(faults, f.explain(p.line, err))
		} else if created || updated {
			log.Info("the bootstrap file has "+map[bool]string{true: "created", false: "updated"}[created]+" a provider", "name", p.name)
		}
	}
	return faults
}
