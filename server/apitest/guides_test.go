package apitest

import (
	"strings"
	"testing"
)

// The commands of shorter guides, as they are written there. Steps that end the server come last.
func TestTheCommandsOfTheGuides(t *testing.T) {
	skipIfShort(t)
	t.Parallel()
	steps := []struct {
		guide, section string
		blocks         int
		stopped        bool   // they are run without a server
		prints         string // what the last block prints, among other things
	}{
		{guide: "keys", section: "List and rotate", blocks: 1, prints: "published"},
		{guide: "keys", section: "When a key may have leaked", blocks: 1, prints: "signing"},
		{guide: "keys", section: "Replace the master key", blocks: 1, prints: "="},
		{guide: "mail", section: "Delivery", blocks: 1, prints: "rows: 0"},
		{guide: "upgrades", section: "# Upgrades", blocks: 1, prints: "up to date"},
		{guide: "upgrades", section: "The way back", blocks: 1, stopped: true, prints: "13"},
	}
	for engine, databaseURL := range engines {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			s := spawn(t, databaseURL(t), metered)
			r := newReader(t, s)
			for _, step := range steps {
				if step.stopped {
					s.stop()
				}
				printed := ""
				for _, b := range guideBlocks(t, "../../docs/guides/"+step.guide+".md", step.section, step.blocks) {
					printed = r.follow(t, b)
				}
				if !strings.Contains(printed, step.prints) {
					t.Errorf("%s.md, %s: printed is no %q, but\n%s", step.guide, step.section, step.prints, printed)
				}
			}
		})
	}
}
