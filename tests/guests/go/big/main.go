// A large program, for what depends on a module's size: most of Go's standard library, with a call into each part so that
// the linker keeps it. It prints one line for each.
package main

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/bzip2"
	"compress/flate"
	"compress/lzw"
	"compress/zlib"
	"crypto/ed25519"
	"crypto/rsa"
	"debug/dwarf"
	"debug/elf"
	"encoding/asn1"
	"encoding/csv"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"go/ast"
	"go/format"
	"go/importer"
	"go/parser"
	"go/printer"
	"go/token"
	"go/types"
	"hash/crc32"
	"html/template"
	"image"
	"image/color"
	"image/draw"
	"image/gif"
	"image/jpeg"
	"image/png"
	"log/slog"
	"os"
	"strings"
	"testing/fstest"
	"text/tabwriter"
)

func must[T any](value T, err error) T {
	if err != nil {
		fmt.Println("failed:", err)
		os.Exit(1)
	}
	return value
}

func check(err error) {
	must(0, err)
}

func compilers() {
	const source = "package p\n\nfunc add(a, b int) int { return a+b }\n\ntype list[T any] struct { next *list[T]; value T }\n"
	files := token.NewFileSet()
	file := must(parser.ParseFile(files, "p.go", source, parser.ParseComments))
	count := 0
	ast.Inspect(file, func(ast.Node) bool { count++; return true })
	config := types.Config{Importer: importer.Default(), Error: func(error) {}}
	checked := must(config.Check("p", files, []*ast.File{file}, nil))
	var text bytes.Buffer
	check(printer.Fprint(&text, files, file))
	fmt.Println("go:", count, checked.Scope().Names(), len(must(format.Source(text.Bytes()))))
}

func archives() {
	var packed bytes.Buffer
	writer := zip.NewWriter(&packed)
	must(must(writer.Create("a.txt")).Write([]byte(strings.Repeat("text ", 100))))
	check(writer.Close())
	reader := must(zip.NewReader(bytes.NewReader(packed.Bytes()), int64(packed.Len())))
	var tape bytes.Buffer
	tarred := tar.NewWriter(&tape)
	check(tarred.WriteHeader(&tar.Header{Name: "b", Size: 3, Mode: 0o644}))
	must(tarred.Write([]byte("abc")))
	check(tarred.Close())
	var deflated bytes.Buffer
	for _, w := range []interface {
		Write([]byte) (int, error)
		Close() error
	}{zlib.NewWriter(&deflated), must(flate.NewWriter(&deflated, 6)), lzw.NewWriter(&deflated, lzw.LSB, 8)} {
		must(w.Write([]byte("deflate")))
		check(w.Close())
	}
	_, err := bzip2.NewReader(strings.NewReader("no")).Read(make([]byte, 1))
	fmt.Println("archives:", reader.File[0].Name, tape.Len(), crc32.ChecksumIEEE(tape.Bytes()), deflated.Len() > 0, err)
}

func texts() {
	type item struct {
		Name  string `xml:"name,attr" json:"name"`
		Value int    `xml:"value"`
	}
	x := must(xml.Marshal(item{"a", 1}))
	var back item
	check(xml.Unmarshal(x, &back))
	rows := must(csv.NewReader(strings.NewReader("a,b\n\"c d\",e\n")).ReadAll())
	page := template.Must(template.New("p").Parse("<a href=\"{{.}}\">{{.}}</a>\n"))
	check(page.Execute(os.Stdout, "a&b<c>"))
	table := tabwriter.NewWriter(os.Stdout, 0, 8, 1, ' ', 0)
	fmt.Fprintln(table, "a\tbbb\tc\naaa\tb\tc")
	check(table.Flush())
	fmt.Println("texts:", string(x), rows, back, string(must(json.Marshal(back))))
	fmt.Println("der:", must(asn1.Marshal(struct{ A, B int }{1, 2})))
}

func pictures() {
	picture := image.NewRGBA(image.Rect(0, 0, 32, 32))
	draw.Draw(picture, picture.Bounds(), image.NewUniform(color.RGBA{200, 10, 10, 255}), image.Point{}, draw.Src)
	var p, j, g bytes.Buffer
	check(png.Encode(&p, picture))
	check(jpeg.Encode(&j, picture, nil))
	check(gif.Encode(&g, picture, nil))
	_, name, err := image.Decode(&p)
	fmt.Println("pictures:", name, err, must(jpeg.Decode(&j)).Bounds(), must(gif.Decode(&g)).Bounds())
}

func keys() {
	key := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	signed := ed25519.Sign(key, []byte("message"))
	fmt.Printf("keys: %x %v\n", signed[:8], ed25519.Verify(key.Public().(ed25519.PublicKey), []byte("message"), signed))
	fmt.Println("rsa:", rsa.VerifyPKCS1v15(&rsa.PublicKey{}, 0, nil, nil) != nil)
}

func objects() {
	_, err := elf.NewFile(strings.NewReader("not an ELF file, and too short"))
	fmt.Println("elf:", err)
	_, err = dwarf.New(nil, nil, nil, nil, nil, nil, nil, nil)
	fmt.Println("dwarf:", err != nil)
	files := fstest.MapFS{"a/b": {Data: []byte("x")}}
	fmt.Println("files:", fstest.TestFS(files, "a/b"))
	slog.New(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}})).Info("done", "count", 7)
}

func main() {
	compilers()
	archives()
	texts()
	pictures()
	keys()
	objects()
}
