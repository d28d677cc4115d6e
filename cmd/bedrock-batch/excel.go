package main

import (
	"archive/zip"
	"encoding/csv"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/bedrock-batch/bedrock-batch/shared/batch"
)

// maxUnpacked is the most bytes that are unpacked of one file of a workbook.
const maxUnpacked = 2 << 30

// converted gives a CSV file for the first sheet of an Excel workbook, and what
// removes it; any other file as it is.
func (a *app) converted(name string) (file string, remove func(), err error) {
	switch strings.ToLower(filepath.Ext(name)) {
	case ".xlsx", ".xlsm":
	case ".xls":
		return "", nil, fmt.Errorf("%s is in Excel's old format: save it as .xlsx or .csv: %w", name, batch.ErrInvalid)
	default:
		return name, func() {}, nil
	}
	out, err := os.CreateTemp("", "bedrock-batch-*.csv")
	if err != nil {
		return "", nil, err
	}
	remove = func() { os.Remove(out.Name()) }
	sheet, rows, err := convert(name, out)
	if e := out.Close(); err == nil {
		err = e
	}
	if err != nil {
		remove()
		return "", nil, fmt.Errorf("convert %s: %w", name, err)
	}
	a.say("sheet %q of %s: %d rows with the header, converted to CSV", sheet, name, rows)
	return out.Name(), remove, nil
}

// convert writes the first sheet of a workbook as CSV. Its rows pass as a
// stream; the texts that the sheets share are held in memory.
func convert(name string, w io.Writer) (sheet string, rows int, err error) {
	book, err := zip.OpenReader(name)
	if err != nil {
		return "", 0, fmt.Errorf("it is no Excel workbook: %w: %w", err, batch.ErrInvalid)
	}
	defer book.Close()
	sheet, part, err := firstSheet(&book.Reader)
	if err != nil {
		return "", 0, err
	}
	texts, err := sharedTexts(&book.Reader)
	if err != nil {
		return "", 0, err
	}
	out := csv.NewWriter(w)
	width := 0
	err = eachRow(&book.Reader, part, texts, func(cells []string) error {
		if width == 0 {
			width = len(cells)
		}
		for len(cells) < width {
			cells = append(cells, "")
		}
		rows++
		return out.Write(cells)
	})
	out.Flush()
	if err == nil {
		err = out.Error()
	}
	return sheet, rows, err
}

var errWorkbook = fmt.Errorf("it is no workbook that can be read here: save it as .csv: %w", batch.ErrInvalid)

// member opens a file of the workbook for reading as XML.
func member(book *zip.Reader, name string) (*xml.Decoder, io.Closer, error) {
	f, err := book.Open(name)
	if err != nil {
		return nil, nil, err
	}
	return xml.NewDecoder(io.LimitReader(f, maxUnpacked)), f, nil
}

// firstSheet finds the name and the part of the first sheet.
func firstSheet(book *zip.Reader) (name, part string, err error) {
	var workbook struct {
		Sheets []struct {
			Name string `xml:"name,attr"`
			ID   string `xml:"http://schemas.openxmlformats.org/officeDocument/2006/relationships id,attr"`
		} `xml:"sheets>sheet"`
	}
	var relations struct {
		All []struct {
			ID     string `xml:"Id,attr"`
			Target string `xml:"Target,attr"`
		} `xml:"Relationship"`
	}
	for file, into := range map[string]any{"xl/workbook.xml": &workbook, "xl/_rels/workbook.xml.rels": &relations} {
		d, body, err := member(book, file)
		if err != nil {
			return "", "", errWorkbook
		}
		err = d.Decode(into)
		body.Close()
		if err != nil {
			return "", "", errWorkbook
		}
	}
	if len(workbook.Sheets) == 0 {
		return "", "", errWorkbook
	}
	first := workbook.Sheets[0]
	for _, r := range relations.All {
		if r.ID == first.ID {
			if strings.HasPrefix(r.Target, "/") {
				return first.Name, strings.TrimPrefix(r.Target, "/"), nil
			}
			return first.Name, path.Join("xl", r.Target), nil
		}
	}
	return "", "", errWorkbook
}

// rich is a text, plain or in pieces with formats.
type rich struct {
	Plain  string `xml:"t"`
	Pieces []struct {
		Text string `xml:"t"`
	} `xml:"r"`
}

func (r rich) String() string {
	text := r.Plain
	for _, p := range r.Pieces {
		text += p.Text
	}
	return text
}

func sharedTexts(book *zip.Reader) ([]string, error) {
	d, body, err := member(book, "xl/sharedStrings.xml")
	if err != nil {
		return nil, nil // a workbook of numbers has none
	}
	defer body.Close()
	var texts []string
	for {
		token, err := d.Token()
		if err == io.EOF {
			return texts, nil
		}
		if err != nil {
			return nil, errWorkbook
		}
		if start, ok := token.(xml.StartElement); ok && start.Name.Local == "si" {
			var text rich
			if err := d.DecodeElement(&text, &start); err != nil {
				return nil, errWorkbook
			}
			texts = append(texts, text.String())
		}
	}
}

type cell struct {
	At     string `xml:"r,attr"`
	Type   string `xml:"t,attr"`
	Value  string `xml:"v"`
	Inline rich   `xml:"is"`
}

// eachRow reads the rows of a sheet; cells that are left out are empty.
func eachRow(book *zip.Reader, part string, texts []string, f func([]string) error) error {
	d, body, err := member(book, part)
	if err != nil {
		return errWorkbook
	}
	defer body.Close()
	var cells []string
	for {
		token, err := d.Token()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return errWorkbook
		}
		switch t := token.(type) {
		case xml.StartElement:
			switch t.Name.Local {
			case "row":
				cells = nil
			case "c":
				var c cell
				if err := d.DecodeElement(&c, &t); err != nil {
					return errWorkbook
				}
				text, err := c.text(texts)
				if err != nil {
					return err
				}
				at, err := column(c.At, len(cells))
				if err != nil {
					return err
				}
				for len(cells) < at {
					cells = append(cells, "")
				}
				cells = append(cells, text)
			}
		case xml.EndElement:
			if t.Name.Local == "row" && strings.Join(cells, "") != "" {
				if err := f(cells); err != nil {
					return err
				}
			}
		}
	}
}

// text is what a cell holds: texts and numbers as they stand in the file, so
// that a date is a number of days.
func (c cell) text(texts []string) (string, error) {
	switch c.Type {
	case "s":
		n, err := strconv.Atoi(c.Value)
		if err != nil || n < 0 || n >= len(texts) {
			return "", errWorkbook
		}
		return texts[n], nil
	case "inlineStr":
		return c.Inline.String(), nil
	case "b":
		return map[string]string{"1": "TRUE", "0": "FALSE"}[c.Value], nil
	}
	return c.Value, nil
}

// maxColumns is the number of columns of a sheet.
const maxColumns = 16_384

// column is the number of a cell's column, from 0: "AB7" is 27. One without a
// place comes after those before it.
func column(at string, next int) (int, error) {
	if at == "" {
		return next, nil
	}
	n := 0
	for _, letter := range at {
		if letter < 'A' || letter > 'Z' {
			break
		}
		if n = n*26 + int(letter-'A') + 1; n > maxColumns {
			return 0, errWorkbook
		}
	}
	if n-1 < next {
		return 0, errors.Join(errors.New("cells out of order"), errWorkbook)
	}
	return n - 1, nil
}
