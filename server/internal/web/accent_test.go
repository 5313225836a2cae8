package web

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// Whatever accent an operator chooses, text on a button and links can be read, in the light and in the dark.
func TestAccentsCanBeRead(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	accents := []string{"", "#000000", "#ffffff", "#ffcc00", "#767676", "#777777", "#FF0000", "#00ff00", "#0000ff", "#1d2126"}
	for range 5000 {
		accents = append(accents, fmt.Sprintf("#%06x", random.IntN(1<<24)))
	}
	for _, accent := range accents {
		p := accentOf(accent)
		for what, ratio := range map[string]float64{
			"text": contrast(p.accent, p.text), "text while the mouse is on it": contrast(must(p.hover.String()), p.text),
			"link in the light": contrast(p.lightLink, lightPaper), "link in the dark": contrast(p.darkLink, darkPaper),
		} {
			if ratio < readable {
				t.Errorf("%s: the %s has a contrast of %.2f", accent, what, ratio)
			}
		}
	}
	for _, text := range []string{"#12345", "#1234567", "123456", "#12345g", "red", "#+12345", ""} {
		if _, err := parseColor(text); err == nil {
			t.Errorf("%q is taken for a color", text)
		}
	}
	if got := fmt.Sprintf("%.2f", contrast(white, black)); got != "21.00" {
		t.Errorf("the contrast of white and black is %s", got)
	}
}
