package answer

import (
	"strconv"

	"github.com/bedrock-batch/bedrock-batch/shared/model/cursor"
	"github.com/bedrock-batch/bedrock-batch/shared/part"
)

// AppendHead appends what a row's line of the results begins with: who the row
// is. What stands behind it is the answer, and is the same for every row that
// asks the same. source is the key of the object that holds the row, where
// several were gathered, else empty.
func AppendHead(dst []byte, e part.Entry, source string) []byte {
	dst = append(appendRecordID(append(dst, `{"recordId":"`...), e.Row), `","row":`...)
	dst = strconv.AppendInt(dst, e.Row, 10)
	if e.ID != nil {
		dst = append(append(dst, `,"id":`...), e.ID...)
	}
	if source != "" {
		dst = append(cursor.AppendQuoted(append(dst, `,"source":"`...), source), '"')
	}
	return dst
}

// AppendKnown appends the line of the results, with its end, of a row whose
// answer an earlier submission has paid for. tail is what stood behind the head
// there, without the line end.
func AppendKnown(dst []byte, e part.Entry, source string, tail []byte, submission string) []byte {
	dst = append(AppendHead(dst, e, source), tail[:len(tail)-1]...)
	dst = append(append(dst, `,"known":"`...), submission...)
	return append(dst, '"', '}', '\n')
}
