// Package oracle asks the HorizontalPodAutoscaler controller of Kubernetes itself what it would decide.
//
// It holds a test only: virtual time (testing/synctest) is to be had in tests alone. See README.md.
package oracle
