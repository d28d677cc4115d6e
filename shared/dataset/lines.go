package dataset

import "io"

// lines reads JSON lines.
type lines struct {
	format  Format
	window  *window
	at      Position
	limit   int
	scanner objects
	ids     identity
	row     Row
	members []member
	bad     Bad
}

func newLines(f Format, r io.Reader, at Position, opt Options) *lines {
	return &lines{
		format:  f,
		window:  newWindow(r, at.Off),
		at:      at,
		limit:   opt.maxRow(),
		scanner: &tokens{},
		ids:     newIdentity(opt.IDColumn),
	}
}

func (l *lines) Position() Position { return l.at }

func (l *lines) Next() (*Row, error) {
	if err := l.window.skipMark(); err != nil {
		return nil, err
	}
	for {
		found, err := l.window.nextLine(l.limit)
		if err != nil {
			return nil, err
		}
		number := l.at.Line
		l.at.Line++
		l.at.Off = found.next
		if !found.cut && blank(found.raw) {
			continue
		}
		l.row = Row{
			Row: l.at.Row, Line: number,
			Off: found.off, End: found.off + found.size,
			Raw: found.raw, Cut: found.cut,
		}
		l.at.Row++
		l.row.Bad = l.look(found)
		return &l.row, nil
	}
}

// look reads the line's members into the row.
func (l *lines) look(found line) *Bad {
	if found.cut {
		l.bad = tooLarge(found.size, l.limit)
		return &l.bad
	}
	var bad *Bad
	l.members, bad = l.scanner.scan(found.raw, l.members[:0])
	if bad != nil {
		return bad
	}
	l.row.members = l.members
	if bad := l.ids.set(&l.row); bad != nil {
		return bad
	}
	if l.format != Native {
		return nil
	}
	input, ok := l.row.Lookup("modelInput")
	switch {
	case !ok:
		l.bad = Bad{Code: CodeNoModelInput, Reason: `the row has no "modelInput"`}
	case input.Raw[0] != '{':
		l.bad = Bad{Code: CodeNoModelInput, Reason: `"modelInput" is not an object`}
	default:
		l.row.ModelInput = input.Raw
		return nil
	}
	return &l.bad
}
