module github.com/instar-runtime/instar-go/bench

go 1.26

require (
	github.com/instar-runtime/instar-go v0.0.0
	github.com/tetratelabs/wazero v1.12.0
)

require golang.org/x/sys v0.44.0 // indirect

replace github.com/instar-runtime/instar-go => ../
