package dataset

import "io"

// lines reads JSON lines.
type lines struct {
	window  *window
	at      Position
	limit   int
	scanner objects
	ids     identity
	row     Row
	members []member
	bad     Bad
	// request finds what the format's rows hold beside their members; nil
	// where that is all.
	request func(*Row) *Bad
}

func newLines(r io.Reader, at Position, opt Options, request func(*Row) *Bad) *lines {
	return &lines{
		request: request,
		window:  newWindow(r, at.Off),
		at:      at,
		limit:   opt.maxRow(),

		ids: newIdentity(opt.IDColumn),
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
		row := l.at.Row
		l.at.Row++
		return l.read(found, row, number), nil
	}
}

// read makes a row of a line.
func (l *lines) read(found line, row, number int64) *Row {
	l.row = Row{
		Row: row, Line: number,
		Off: found.off, End: found.off + found.size,
		Raw: found.raw, Cut: found.cut,
	}
	l.row.Bad = l.look(found)
	return &l.row
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
	if l.request == nil {
		return nil
	}
	return l.request(&l.row)
}
