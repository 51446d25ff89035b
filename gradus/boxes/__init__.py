"""Boxes: geometry, matching, coding, suppression, proposals and average precision. Boxes are left, top, right, bottom."""
