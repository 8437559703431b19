// kwok, which simulates nodes and pods; its client libraries are newer than the control plane's.
module kwok

go 1.26.0

require sigs.k8s.io/kwok v0.8.0
