module github.com/instar-runtime/instar-go

go 1.26
