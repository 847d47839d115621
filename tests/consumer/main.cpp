// SPDX-License-Identifier: BSL-1.0
bool use_holdfast();

int main() { return use_holdfast() ? 0 : 1; }
