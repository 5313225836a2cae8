package web

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// color is a color of sRGB, each part from 0 to 1.
type color [3]float64

// The colors behind links, in the light and in the dark.
var (
	lightPaper   = white
	darkPaper    = must("#1d2126")
	black, white = color{}, color{1, 1, 1}
)

// builtInPalette is for operators who have chosen no accent.
var builtInPalette = palette{must("#1257b8"), white, must("#0d4698"), must("#1257b8"), must("#7fb0ff")}

func must(text string) color {
	c, err := parseColor(text)
	if err != nil {
		panic(err)
	}
	return c
}

// readable is the contrast that small text needs (WCAG 2.2, 1.4.3).
const readable = 4.5

func parseColor(text string) (c color, err error) {
	digits, ok := strings.CutPrefix(text, "#")
	value, err := strconv.ParseUint(digits, 16, 24)
	if !ok || len(digits) != 6 || err != nil {
		return c, errors.New("must be a color such as #1257b8")
	}
	for i := range c {
		c[i] = float64(value>>(16-8*i)&0xff) / 255
	}
	return c, nil
}

func (c color) String() string {
	return fmt.Sprintf("#%02x%02x%02x", int(math.Round(c[0]*255)), int(math.Round(c[1]*255)), int(math.Round(c[2]*255)))
}

// luminance is the relative luminance of WCAG 2.2.
func (c color) luminance() float64 {
	linear := func(v float64) float64 {
		if v <= 0.04045 {
			return v / 12.92
		}
		return math.Pow((v+0.055)/1.055, 2.4)
	}
	return 0.2126*linear(c[0]) + 0.7152*linear(c[1]) + 0.0722*linear(c[2])
}

func contrast(a, b color) float64 {
	l, m := a.luminance(), b.luminance()
	return (max(l, m) + 0.05) / (min(l, m) + 0.05)
}

// toward mixes a color with another one.
func (c color) toward(other color, part float64) (mixed color) {
	for i := range c {
		mixed[i] = c[i] + (other[i]-c[i])*part
	}
	return mixed
}

// on returns the color nearest to c, on the way to another one, that can be read on paper.
func (c color) on(paper, other color) color {
	for part := 0.; part < 1; part += 0.05 {
		// Rounded, since the page has the rounded one.
		if mixed, _ := parseColor(c.toward(other, part).String()); contrast(mixed, paper) >= readable {
			return mixed
		}
	}
	return other
}

// palette is what follows from an accent.
type palette struct{ accent, text, hover, lightLink, darkLink color }

// accentOf makes the colors of the pages from an accent, "" for the built-in one. Text on it is white if white can be read,
// and otherwise black, which then can: of every color, one of the two has a contrast of 4.5.
func accentOf(text string) palette {
	accent, err := parseColor(text)
	if err != nil {
		return builtInPalette
	}
	p := palette{accent: accent, text: white, hover: accent.toward(black, 0.2), lightLink: accent.on(lightPaper, black), darkLink: accent.on(darkPaper, white)}
	if contrast(accent, white) < readable {
		p.text, p.hover = black, accent.toward(white, 0.2)
	}
	return p
}

func (p palette) css() string {
	return fmt.Sprintf("\n:root { color-scheme: light dark; --accent: %s; --on-accent: %s; --accent-hover: %s; --link: light-dark(%s, %s); }\n",
		p.accent, p.text, p.hover, p.lightLink, p.darkLink)
}
