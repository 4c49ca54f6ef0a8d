// Pack writes the module as the zip file that a Go module proxy serves: every name begins with module@version/.
//
//	go run ./internal/pack <version> <library> <header> <license> <out.zip>
package main

import (
	"archive/zip"
	"fmt"
	"io"
	"io/fs"
	"log"
	"os"
	"path/filepath"
	"runtime"
	"slices"
)

const module = "github.com/instar-runtime/instar-go"

func main() {
	log.SetFlags(0)
	if len(os.Args) != 6 {
		log.Fatal("usage: pack <version> <library> <header> <license> <out.zip>")
	}
	if err := pack(os.Args[1], os.Args[2], os.Args[3], os.Args[4], os.Args[5]); err != nil {
		log.Fatal(err)
	}
}

func pack(version, library, header, license, out string) error {
	files, err := sources()
	if err != nil {
		return err
	}
	lib := "lib/" + runtime.GOOS + "_" + runtime.GOARCH + "/"
	files[lib+"libinstar_ffi.a"] = library
	files[lib+"instar_ffi.h"] = header
	files["LICENSE"] = license

	file, err := os.Create(out)
	if err != nil {
		return err
	}
	archive := zip.NewWriter(file)
	names := make([]string, 0, len(files))
	for name := range files {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		if err := add(archive, fmt.Sprintf("%s@v%s/%s", module, version, name), files[name]); err != nil {
			return err
		}
	}
	if err := archive.Close(); err != nil {
		return err
	}
	return file.Close()
}

func add(archive *zip.Writer, name, path string) error {
	// No time: the same files give the same zip.
	target, err := archive.CreateHeader(&zip.FileHeader{Name: name, Method: zip.Deflate})
	if err != nil {
		return err
	}
	source, err := os.Open(path)
	if err != nil {
		return err
	}
	defer source.Close()
	_, err = io.Copy(target, source)
	return err
}

// sources are the module's own files: without modules inside it, builds and scripts.
func sources() (map[string]string, error) {
	files := map[string]string{}
	err := filepath.WalkDir(".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			if path == "lib" || path == "dist" {
				return fs.SkipDir
			}
			if _, err := os.Stat(filepath.Join(path, "go.mod")); err == nil && path != "." {
				return fs.SkipDir
			}
			return nil
		}
		switch filepath.Ext(path) {
		case ".go", ".mod", ".h", ".md":
			files[filepath.ToSlash(path)] = path
		}
		return nil
	})
	return files, err
}
