package guard

import (
	"context"
	"time"
)

// start fetches what the guard needs of the issuer, or lets that happen in the background.
func (g *Guard) start(ctx context.Context) error {
	ctx, g.stop = context.WithCancel(ctx)
	if g.options.StartTimeout >= 0 {
		err := g.fetch(ctx)
		if err != nil {
			g.stop()
		}
		return err
	}
	g.waiting.Go(func() {
		for err := g.fetch(ctx); err != nil; err = g.fetch(ctx) {
			select {
			case <-ctx.Done():
				return
			case <-time.After(fetchTimeout):
				g.options.Log.WarnContext(ctx, "guard: the issuer cannot be used yet; the guard tries again", "issuer", g.options.Issuer, "error", err)
			}
		}
		g.options.Log.InfoContext(ctx, "the issuer's keys were fetched", "issuer", g.options.Issuer)
	})
	return nil
}

// fetch gets the keys, and examines the client that looks up personal access tokens. The keys come last: with them the guard is ready.
func (g *Guard) fetch(ctx context.Context) error {
	k, err := fetchKeys(ctx, g.options)
	if err != nil {
		return err
	}
	if g.options.Introspect != nil {
		if g.introspector, err = newIntrospector(ctx, g.options); err != nil {
			k.stop()
			return err
		}
	}
	g.keys.Store(k)
	return nil
}

// Ready reports whether the guard has the issuer's keys.
func (g *Guard) Ready() bool { return g.keys.Load() != nil }

// Close stops refreshing the issuer's keys. The guard keeps working with those that it has.
func (g *Guard) Close() {
	g.stop()
	g.waiting.Wait()
	if known := g.keys.Load(); known != nil {
		known.stop()
	}
}
