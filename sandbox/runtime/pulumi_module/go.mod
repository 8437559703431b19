// The Pulumi CLI that `make pulumi` builds; go.sum pins the hash of each module.
module pulumi-cli

go 1.26.6

require github.com/pulumi/pulumi/pkg/v3 v3.274.1
