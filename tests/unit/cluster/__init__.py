"""Tests of what makes a cluster, without making one."""
