// Package oracle asks KEDA itself what it makes of a ScaledObject and when it scales to zero and back.
//
// It holds a test only: virtual time (testing/synctest) is to be had in tests alone. See README.md.
package oracle
