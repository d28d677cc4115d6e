package dataset

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// HeadSize is how many of an upload's first bytes Recognise should be given
// (fewer where the upload is shorter). Of a zstd stream nothing can be unpacked
// before its first block is whole, which may be 128 KiB.
const HeadSize = 256 << 10

// Why an upload cannot be read at all.
var (
	// ErrEmpty: there is nothing in it but white space.
	ErrEmpty = errors.New("the upload is empty")
	// ErrUnrecognised: neither name nor first bytes tell a format.
	ErrUnrecognised = errors.New("unknown format")
)

// foreign are the first bytes of files that people drop and that are no text.
var foreign = []struct{ magic, advice string }{
	{"PK\x03\x04", "this is a zip archive or an Office file; save tables as CSV in UTF-8, and name documents .docx or .xlsx"},
	{"\xd0\xcf\x11\xe0", "this is an old Office file; save tables as CSV in UTF-8, and name documents .doc or .xls"},
	{"PARE", "this is a Parquet file that is encrypted"},
	{"%PDF-", "this is a PDF, and the workload says that its uploads are something else"},
	{"\x89PNG", "this is an image, and the workload says that its uploads are something else"},
	{"\xff\xd8\xff", "this is an image, and the workload says that its uploads are something else"},
	{"\xff\xfe", "the text is UTF-16; save it as UTF-8"},
	{"\xfe\xff", "the text is UTF-16; save it as UTF-8"},
	{"BZh", "bzip2 is not read; compress with gzip or zstd"},
	{"\xfd7zXZ", "xz is not read; compress with gzip or zstd"},
}

// byEnding is the format that a name tells alone. JSON lines are told apart by
// their first rows.
func byEnding(ending string) (Format, bool) {
	for _, f := range Formats {
		if ending != "" && slices.Contains(specs[f].Endings, ending) {
			return f, true
		}
	}
	return "", false
}

// Recognise tells format and compression from the upload's name (key), its
// first HeadSize bytes as stored, and the format that the workload declares
// (empty for none). What is declared holds, with one exception: an errors
// file of an earlier run, whose rows carry "_error", is JSON lines.
func Recognise(name string, head []byte, declared Format) (Format, Compression, error) {
	packed := compression(head)
	if packed != Plain {
		var err error
		if head, err = unpackHead(head, packed); len(head) == 0 && err != nil {
			return declared, packed, err
		}
	}
	ext := strings.ToLower(path.Ext(trimPacked(name)))
	if (declared == "" || declared == Media) && media(head, ext) {
		if packed != Plain {
			return "", packed, fmt.Errorf("%w: documents and images are taken as they are; unpack this one", ErrUnrecognised)
		}
		return Media, packed, nil
	}
	if bytes.HasPrefix(head, []byte("PAR1")) {
		switch {
		case packed != Plain:
			return "", packed, fmt.Errorf("%w: Parquet is compressed by itself; unpack this one", ErrUnrecognised)
		case declared != "" && declared != Parquet:
			return "", packed, fmt.Errorf("%w: this is Parquet, and the workload says that its uploads are something else", ErrUnrecognised)
		}
		return Parquet, packed, nil
	}
	if f := foreignAdvice(head); f != "" {
		return "", packed, fmt.Errorf("%w: %s", ErrUnrecognised, f)
	}
	body := bytes.TrimLeft(bytes.TrimPrefix(head, byteOrderMark), " \t\r\n")
	if declared != "" && !declared.Known() {
		return "", packed, fmt.Errorf("%w %q; known are %s", ErrUnrecognised, declared, FormatNames())
	}
	if len(body) == 0 {
		if len(head) < HeadSize {
			return declared, packed, ErrEmpty
		}
		if declared == "" {
			return "", packed, fmt.Errorf("%w: the first %d bytes are blank; name the format in the workload", ErrUnrecognised, len(head))
		}
		return declared, packed, nil
	}
	rows := lookAhead(body)
	if rows.failed {
		if declared.Lines() {
			return declared, packed, nil
		}
		if declared != "" {
			return JSONL, packed, nil
		}
		return rows.format(), packed, nil
	}
	if declared != "" {
		return declared, packed, nil
	}
	if f, ok := byEnding(ext); ok && f != Media {
		return f, packed, nil
	}
	switch body[0] {
	case '[':
		return JSON, packed, nil
	case '{':
		if ext == ".json" && !rows.firstWhole {
			return JSON, packed, nil
		}
		return rows.format(), packed, nil
	}
	if ext == ".jsonl" || ext == ".ndjson" {
		return rows.format(), packed, nil // the rows to come may be good
	}
	return "", packed, fmt.Errorf("%w: neither the name %q nor its first bytes tell how its rows are written; name the format in the workload, one of %s", ErrUnrecognised, path.Base(name), FormatNames())
}

// FormatNames lists the formats for messages.
func FormatNames() string {
	names := make([]string, len(Formats))
	for i, f := range Formats {
		names[i] = string(f)
	}
	return strings.Join(names, ", ")
}

func foreignAdvice(head []byte) string {
	for _, f := range foreign {
		if bytes.HasPrefix(head, []byte(f.magic)) {
			return f.advice
		}
	}
	return ""
}

// trimPacked drops the ending that says how a file is packed.
func trimPacked(name string) string {
	for _, ending := range []string{".gz", ".gzip", ".zst", ".zstd"} {
		if n := len(name) - len(ending); n > 0 && strings.EqualFold(name[n:], ending) {
			return name[:n]
		}
	}
	return name
}

// unpackHead unpacks as much as the beginning of a packed upload gives. What
// can be had of a beginning ends in an error nearly always, which matters only
// where nothing came before it.
func unpackHead(head []byte, c Compression) ([]byte, error) {
	r, err := Decompress(bytes.NewReader(head), c, 0)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(io.LimitReader(r, HeadSize))
}

// ahead is what the first rows of JSON lines tell.
type ahead struct {
	names      map[string]bool
	failed     bool // the first row carries "_error"
	firstWhole bool // the first line is a whole JSON value
}

// lookAhead reads the names of the first line that is an object and tells
// something: of one with nothing but an id only if there is no better.
func lookAhead(body []byte) ahead {
	var found ahead
	for first := true; len(body) > 0; first = false {
		line, rest, more := bytes.Cut(body, []byte{'\n'})
		names, whole := memberNames(line)
		if first {
			found.firstWhole = whole || !more
			found.failed = names[errorMember] && (whole || !more)
		}
		if names != nil && (whole || !more) {
			if found.names == nil {
				found.names = names
			}
			if telling(names) {
				found.names = names
				return found
			}
		}
		body = rest
	}
	return found
}

// telling reports whether a row's names say anything of what it is: a row
// without any but its id is as good as none.
func telling(names map[string]bool) bool {
	n := len(names)
	for _, id := range defaultIDs {
		if names[id] {
			n--
		}
	}
	return n > 0
}

// memberNames reads the names of the object in line as far as it goes; nil if
// it is none, whole if it is complete.
func memberNames(line []byte) (names map[string]bool, whole bool) {
	d := jsontext.NewDecoder(bytes.NewBuffer(line), tokenOptions...)
	if t, err := d.ReadToken(); err != nil || t.Kind() != '{' {
		return nil, false
	}
	names = map[string]bool{}
	for d.PeekKind() == '"' {
		name, err := d.ReadToken()
		if err != nil {
			return names, false
		}
		names[name.String()] = true
		if err := d.SkipValue(); err != nil {
			return names, false
		}
	}
	if t, err := d.ReadToken(); err != nil || t.Kind() != '}' {
		return names, false
	}
	_, err := d.ReadToken()
	return names, err == io.EOF
}

// format is the one whose rows have the first row's names.
func (a ahead) format() Format {
	for _, f := range Formats {
		if spec := specs[f]; spec.Lines && spec.Names != nil && spec.Names(func(name string) bool { return a.names[name] }) {
			return f
		}
	}
	return JSONL
}
