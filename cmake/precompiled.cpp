// SPDX-License-Identifier: BSL-1.0
// Exists so that a precompiled header has a target to belong to.
