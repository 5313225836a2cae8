package oauth

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"os"

	"sesame/server/internal/problem"
	"sesame/server/internal/store"
)

const (
	// MaxLogo bounds a logo, in bytes. It is sent beside a page of a few kilobytes.
	MaxLogo = 32 << 10
	// maxLogoSide bounds the sides of a logo, in pixels: a few bytes can describe an image that fills the memory of a browser.
	maxLogoSide = 1024
)

// logoPath is where this server shows the logos of clients, from the root of the pages.
const logoPath = "sign-in/client-logo"

// LogoAddress is where this server shows the logo, from the root of the pages; "" for none. It changes with the content.
func (c Client) LogoAddress() string { return LogoAddress(c.LogoHash) }

// LogoAddress is the address of the logo with a hash; "" for none.
func LogoAddress(hash string) string {
	if hash == "" {
		return ""
	}
	return logoPath + "?hash=" + hash
}

// LogoURI is the complete address of the logo of a client; "" for none.
func (s *Service) LogoURI(c Client) string {
	if c.LogoHash == "" {
		return ""
	}
	issuer, _ := s.issuer.Names()
	return issuer + "/" + c.LogoAddress()
}

// Logo returns a logo by its hash, with its media type. Errors: NotFound.
func (s *Service) Logo(ctx context.Context, hash string) (content []byte, mediaType string, err error) {
	notFound := problem.New(problem.NotFound, "There is no such logo.")
	if !isChallenge(hash) { // the form of a SHA-256 hash
		return nil, "", notFound
	}
	content, err = s.db.ClientLogo(ctx, hash)
	if store.IgnoreNotFound(err) != nil {
		return nil, "", err
	}
	mediaType, fault := examineLogo(content)
	if err != nil || fault != "" {
		return nil, "", notFound
	}
	return content, mediaType, nil
}

// ReadLogo reads a file with a logo. The error names the file.
func ReadLogo(name string) ([]byte, error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	content, err := io.ReadAll(io.LimitReader(file, MaxLogo+1))
	if err != nil {
		return nil, err
	}
	if _, fault := examineLogo(content); fault != "" {
		return nil, fmt.Errorf("the logo %s %s", name, fault)
	}
	return content, nil
}

// examineLogo recognizes an image by its content. Otherwise fault says what is wrong with it. The image must be all of the file:
// what follows it could be read as a file of another kind. SVG is refused, since it can hold scripts.
func examineLogo(content []byte) (mediaType, fault string) {
	if len(content) > MaxLogo {
		return "", fmt.Sprintf("must have at most %d KiB", MaxLogo>>10)
	}
	for _, kind := range []struct {
		mediaType, begins string
		size              func([]byte) (width, height int)
	}{
		{"image/png", "\x89PNG\r\n\x1a\n", sizeOfPNG},
		{"image/jpeg", "\xff\xd8\xff", sizeOfJPEG},
		{"image/webp", "RIFF", sizeOfWebP},
	} {
		if !bytes.HasPrefix(content, []byte(kind.begins)) {
			continue
		}
		switch width, height := kind.size(content); {
		case width <= 0 || height <= 0:
			return "", "is a damaged image, or something follows the image"
		case width > maxLogoSide || height > maxLogoSide:
			return "", fmt.Sprintf("must have at most %d pixels at each side", maxLogoSide)
		}
		return kind.mediaType, ""
	}
	return "", "must be a PNG, JPEG or WebP image"
}

// sizeOfPNG walks through the chunks of a PNG (W3C PNG §5.3), which must end with IEND. It returns zeros for one that is damaged.
func sizeOfPNG(content []byte) (width, height int) {
	rest := content[8:]
	for first := true; len(rest) >= 12; first = false {
		length := int(binary.BigEndian.Uint32(rest))
		if length > len(rest)-12 {
			return 0, 0
		}
		kind, chunk := string(rest[4:8]), rest[8:8+length]
		if crc32.ChecksumIEEE(rest[4:8+length]) != binary.BigEndian.Uint32(rest[8+length:]) || first != (kind == "IHDR") || first && length != 13 {
			return 0, 0
		}
		if rest = rest[12+length:]; first {
			width, height = int(binary.BigEndian.Uint32(chunk)), int(binary.BigEndian.Uint32(chunk[4:]))
		}
		if kind == "IEND" {
			if len(rest) == 0 {
				return width, height
			}
			return 0, 0
		}
	}
	return 0, 0
}

// sizeOfJPEG walks through the segments of a JPEG (ITU-T T.81 §B.1) up to the end of the image, which must be the end of the file. It
// returns zeros for one that is damaged.
func sizeOfJPEG(content []byte) (width, height int) {
	rest := content[2:]
	for len(rest) >= 4 && rest[0] == 0xff {
		marker, length := rest[1], int(binary.BigEndian.Uint16(rest[2:]))
		switch {
		case marker == 0xff: // fills
			rest = rest[1:]
			continue
		case length < 2 || length+2 > len(rest):
			return 0, 0
		case marker >= 0xc0 && marker <= 0xcf && marker != 0xc4 && marker != 0xc8 && marker != 0xcc && length >= 7:
			if width > 0 { // browsers draw the first frame, so that the size of another one says nothing
				return 0, 0
			}
			height, width = int(binary.BigEndian.Uint16(rest[5:])), int(binary.BigEndian.Uint16(rest[7:]))
		}
		if rest = rest[2+length:]; marker != 0xda {
			continue
		}
		for len(rest) > 1 && (rest[0] != 0xff || rest[1] == 0 || rest[1] >= 0xd0 && rest[1] <= 0xd7) { // the scan
			rest = rest[1:]
		}
		if bytes.Equal(rest, []byte{0xff, 0xd9}) {
			return width, height
		}
	}
	return 0, 0
}

// sizeOfWebP reads the first chunk of a WebP (RFC 9649 §2), whose length must be that of the file. It returns zeros for one that is
// damaged.
func sizeOfWebP(content []byte) (width, height int) {
	if len(content) < 30 || string(content[8:12]) != "WEBP" || int(binary.LittleEndian.Uint32(content[4:])) != len(content)-8 {
		return 0, 0
	}
	chunk := content[20:]
	switch string(content[12:16]) {
	case "VP8 ": // RFC 6386 §9.1
		if string(chunk[3:6]) != "\x9d\x01\x2a" {
			return 0, 0
		}
		return int(binary.LittleEndian.Uint16(chunk[6:]) & 0x3fff), int(binary.LittleEndian.Uint16(chunk[8:]) & 0x3fff)
	case "VP8L":
		bits := binary.LittleEndian.Uint32(chunk[1:])
		if chunk[0] != 0x2f {
			return 0, 0
		}
		return int(bits&0x3fff) + 1, int(bits>>14&0x3fff) + 1
	case "VP8X":
		three := func(b []byte) int { return int(b[0]) | int(b[1])<<8 | int(b[2])<<16 }
		return three(chunk[4:]) + 1, three(chunk[7:]) + 1
	}
	return 0, 0
}
