package token

import (
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"sesame/server/secret"
)

const (
	// masterKeySize is 256 bits.
	masterKeySize = 32
	// maxKeyFile bounds, in bytes, how much of a key file is read.
	maxKeyFile = 4 << 10
)

// MasterKey is the one secret that an operator keeps. It never encrypts or signs anything itself: each purpose has a key
// of its own, derived by HKDF (RFC 5869).
//
// While an operator replaces the master key, there is a second one: it is accepted for what exists, and makes nothing new.
type MasterKey struct {
	root   []byte
	second []byte // nil without one
}

// Accepting returns a master key that also accepts what a second one has made.
func (k MasterKey) Accepting(second MasterKey) MasterKey {
	return MasterKey{root: k.root, second: second.root}
}

// Equal reports whether two master keys make the same values.
func (k MasterKey) Equal(other MasterKey) bool {
	return subtle.ConstantTimeCompare(k.root, other.root) == 1
}

// derive returns the 256-bit key of one purpose.
func (k MasterKey) derive(purpose string) []byte { return derive(k.root, purpose) }

// deriveSecond is derive for the second master key; nil without one.
func (k MasterKey) deriveSecond(purpose string) []byte {
	if k.second == nil {
		return nil
	}
	return derive(k.second, purpose)
}

func derive(root []byte, purpose string) []byte {
	key, err := hkdf.Key(sha256.New, root, nil, "sesame "+purpose, 32)
	if err != nil { // impossible: only a longer key is an error
		panic(err)
	}
	return key
}

// ParseMasterKey parses 256 bits in base64. It refuses a key that is not random: 32 random bytes practically always have
// 16 different values, and a sample that somebody typed has fewer.
func ParseMasterKey(text string) (MasterKey, error) {
	text = strings.TrimRight(strings.TrimSpace(text), "=")
	text = strings.NewReplacer("-", "+", "_", "/").Replace(text)
	root, err := base64.RawStdEncoding.DecodeString(text)
	if err != nil {
		return MasterKey{}, errors.New("the master key is not base64; make one with: openssl rand -base64 32")
	}
	if len(root) != masterKeySize {
		return MasterKey{}, fmt.Errorf("the master key has %d bytes and must have %d; make one with: openssl rand -base64 32", len(root), masterKeySize)
	}
	distinct := map[byte]bool{}
	for _, b := range root {
		distinct[b] = true
	}
	if len(distinct) < 16 {
		return MasterKey{}, errors.New("the master key is not random; make one with: openssl rand -base64 32")
	}
	return MasterKey{root: root}, nil
}

// ReadMasterKey reads the key from a file that only its owner and its group can read. A missing file is fs.ErrNotExist.
func ReadMasterKey(file string) (MasterKey, error) {
	opened, err := os.Open(file)
	if err != nil {
		return MasterKey{}, err
	}
	defer opened.Close()
	info, err := opened.Stat()
	switch {
	case err != nil:
		return MasterKey{}, err
	case info.IsDir():
		return MasterKey{}, fmt.Errorf("the master key file %s is a folder", file)
	case secret.OpenToOthers(info):
		return MasterKey{}, fmt.Errorf("every user of this machine has access to the master key file %s (mode %04o); run: chmod 600 %s, or mount the secret with mode 0440",
			file, info.Mode().Perm(), file)
	}
	text, err := io.ReadAll(io.LimitReader(opened, maxKeyFile))
	if err != nil {
		return MasterKey{}, err
	}
	key, err := ParseMasterKey(string(text))
	if err != nil {
		return MasterKey{}, fmt.Errorf("%s: %w", file, err)
	}
	return key, nil
}

// MakeMasterKey makes a key and stores it in a file that only its owner can read. When two processes do so at once, both
// return the same key: the file is linked into place when it is complete, and the second process reads it.
func MakeMasterKey(file string) (MasterKey, error) {
	root := make([]byte, masterKeySize)
	rand.Read(root)
	temp, err := os.CreateTemp(filepath.Dir(file), ".sesame-key-*")
	if err != nil {
		return MasterKey{}, err
	}
	defer os.Remove(temp.Name())
	_, err = temp.WriteString(base64.StdEncoding.EncodeToString(root) + "\n")
	if err = errors.Join(err, temp.Chmod(0o600), temp.Sync(), temp.Close()); err != nil { // 0600 whatever the umask
		return MasterKey{}, err
	}
	if err = os.Link(temp.Name(), file); err != nil && !errors.Is(err, fs.ErrExist) {
		return MasterKey{}, err
	}
	return ReadMasterKey(file)
}
